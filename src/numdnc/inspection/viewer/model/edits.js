// Edits: values that are set, in place of those computed, at some steps. All that depends on them follows from them.
// An edit is {name, index, value, first, last}: `name` as in a trace, `index` of the part that is set.

/** What edits make of a part at step t. */
const editsAt = (edits, t) => (name, part) =>
  edits
    .filter((edit) => edit.name === name && edit.first <= t && t <= edit.last)
    .reduce((changed, edit) => setAt(changed, edit.index, edit.value), part);

/** The part with another value at an index: a number, which also fills vectors, or a list of numbers. */
function setAt(part, [place, ...inner], value) {
  if (place !== undefined) {
    const copy = part.slice();
    copy[place] = setAt(part[place], inner, value);
    return copy;
  }
  if (Array.isArray(value)) return Float64Array.from(value);
  return typeof part === "number" ? value : part.map((inner) => setAt(inner, [], value));
}
