"""Regular expressions as automata, by the positions of their symbols (Glushkov 1961).

An automaton reads a word in linear time, whatever the expression, which may come from somebody else's file.
"""

from typing import NamedTuple, NoReturn

from numdnc.errors import UserError
from numdnc.names import quoted
from numdnc.tasks.languages.automaton import Automaton

MOST_CHARACTERS = 200
MOST_STATES = 1000
_SYNTAX = "letters, digits, . ( ) | * + ? and [..] of symbols"


class _Part(NamedTuple):
    """A part of an expression."""

    empty: bool
    """Whether it matches the empty string."""
    first: frozenset[int]
    """Positions of the symbols with which a match can begin, ..."""
    last: frozenset[int]
    """... and with which it can end."""


_NOTHING = _Part(empty=True, first=frozenset(), last=frozenset())


class _Parser:
    """Reads an expression from left to right."""

    def __init__(self, text: str, alphabet: str) -> None:
        self.text, self.alphabet, self.at = text, alphabet, 0
        self.symbols: list[str] = []
        """For each position the symbols that match there."""
        self.follow: list[set[int]] = []
        """For each position the positions that can come after it."""

    def expression(self) -> _Part:
        whole = self.alternatives()
        if self.at < len(self.text):
            self.fail("a ) without its (")
        return whole

    def alternatives(self) -> _Part:
        whole = self.sequence()
        while self.peek() == "|":
            self.at += 1
            other = self.sequence()
            whole = _Part(whole.empty or other.empty, whole.first | other.first, whole.last | other.last)
        return whole

    def sequence(self) -> _Part:
        whole = _NOTHING
        while self.peek() not in ("", "|", ")"):
            part = self.repeated()
            self.link(whole, part)
            whole = _Part(
                whole.empty and part.empty,
                whole.first | part.first if whole.empty else whole.first,
                whole.last | part.last if part.empty else part.last,
            )
        return whole

    def repeated(self) -> _Part:
        part = self.single()
        sign = self.peek()
        if sign not in ("*", "+", "?"):
            return part
        self.at += 1
        if self.peek() in ("*", "+", "?"):
            self.fail("a repeat of a repeat: put ( ) around the first")
        if sign != "?":
            self.link(part, part)
        return part if sign == "+" else part._replace(empty=True)

    def single(self) -> _Part:
        symbol = self.peek()
        self.at += 1
        if symbol == "(":
            part = self.alternatives()
            if self.peek() != ")":
                self.fail("a ( without its )")
            self.at += 1
            return part
        if symbol == "[":
            end = self.text.find("]", self.at)
            symbols = self.text[self.at : end] if end > 0 else ""
            if not symbols or not all(is_symbol(one) for one in symbols):
                self.fail("a [ that is not followed by letters or digits and ]")
            self.at = end + 1
        elif symbol == ".":
            symbols = self.alphabet
        elif is_symbol(symbol):
            symbols = symbol
        else:
            self.at -= 1
            self.fail("nothing to repeat" if symbol in ("*", "+", "?") else f"{quoted(symbol)}")
        self.symbols.append(symbols)
        self.follow.append(set())
        here = frozenset([len(self.symbols) - 1])
        return _Part(empty=False, first=here, last=here)

    def link(self, before: _Part, after: _Part) -> None:
        for position in before.last:
            self.follow[position] |= after.first

    def peek(self) -> str:
        return self.text[self.at : self.at + 1]

    def fail(self, problem: str) -> NoReturn:
        raise UserError(
            f"regex must be a regular expression of {_SYNTAX}, got {quoted(self.text)} "
            f"with {problem} at character {self.at + 1}."
        )


def is_symbol(character: str) -> bool:
    """Whether a character can be a symbol of an alphabet."""
    return character.isascii() and character.isalnum()


def automaton_of(expression: str, alphabet: str = "") -> Automaton:
    """The automaton of a regular expression; by default its alphabet is the symbols in the expression."""
    if len(expression) > MOST_CHARACTERS:
        raise UserError(f"regex must have at most {MOST_CHARACTERS} characters, got {len(expression)}.")
    used = sorted({character for character in expression if is_symbol(character)})
    alphabet = alphabet or "".join(used)
    if not alphabet or not all(is_symbol(one) for one in alphabet) or len(set(alphabet)) < len(alphabet):
        raise UserError(
            f"alphabet must be letters or digits, each once, got {quoted(alphabet)}. Name them with --alphabet ab."
        )
    if unknown := sorted(set(used) - set(alphabet)):
        raise UserError(
            f"alphabet must have every symbol of the regular expression, got {quoted(alphabet)} "
            f"without {', '.join(unknown)}. Add them."
        )
    parser = _Parser(expression, alphabet)
    whole = parser.expression()
    start = frozenset([-1])  # before any symbol
    states = [start]
    numbers = {start: 0}
    transitions = []
    for state in states:  # grows meanwhile
        after = whole.first if state == start else frozenset().union(*(parser.follow[p] for p in state))
        row = []
        for symbol in alphabet:
            reached = frozenset(position for position in after if symbol in parser.symbols[position])
            if reached not in numbers:
                numbers[reached] = len(states)
                states.append(reached)
            row.append(numbers[reached])
        transitions.append(row)
        if len(states) > MOST_STATES:
            raise UserError(
                f"regex must need at most {MOST_STATES:,} states, got {quoted(expression)}. Use a simpler one."
            )
    accepting = {
        number for state, number in numbers.items() if (whole.empty if state == start else state & whole.last)
    }
    return Automaton(alphabet, transitions, accepting)
