"""Published experiments as data: NAME.toml says what is trained, how it is scored, and what was published.

`recipe.py` reads a recipe, `scoring.py` scores the runs of its sweep, `results.py` holds what comes of it.
`numdnc reproduce` calls them.
"""

from numdnc.recipes.recipe import Figure, Recipe, load_recipe, recipe_names

__all__ = ["Figure", "Recipe", "load_recipe", "recipe_names"]
