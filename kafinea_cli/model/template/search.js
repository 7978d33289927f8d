// Searching modules, fields and values of picklists, regardless of case and accents.

const LONGEST_LIST = 200;

/** Everything that can be found: `{module, field, own, whole, values}`, the last three folded. */
const entries = model.modules.flatMap((module) => {
  const own = folded(`${module.label} ${module.name}`);
  return [
    { module, field: null, own, whole: own, values: [] },
    ...module.fields.map((field) => fieldEntry(module, field, own)),
  ];
});

function fieldEntry(module, field, moduleText) {
  const own = folded(`${field.label} ${field.name}`);
  const values = field.values.map(({ value, label }) => folded(`${label} ${value}`));
  return { module, field, own, whole: `${own} ${moduleText}`, values };
}

function folded(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** What matches a search, the best first. `filter` has `text`, `type` and `mandatory`. */
function found(filter) {
  const words = wordsOf(filter.text);
  const ofFields = Boolean(filter.type) || filter.mandatory;
  if (!words.length && !ofFields) return entries.filter((entry) => !entry.field);
  return entries
    .filter((entry) => (entry.field ? passes(entry.field, filter) : !ofFields))
    .map((entry) => ({ entry, rank: rankOf(entry, words) }))
    .filter(({ rank }) => rank < Infinity)
    .sort((a, b) => a.rank - b.rank)
    .map(({ entry }) => entry);
}

function wordsOf(text) {
  return folded(text).split(/\s+/).filter(Boolean);
}

/** Whether a field is of the type that is wanted, and mandatory if only those are. */
function passes(field, { type, mandatory }) {
  return (!type || field.type === type) && (!mandatory || field.mandatory);
}

/** How well an entry matches: by its own name, by that of its module too, or by a value. */
function rankOf(entry, words) {
  const kind = entry.field ? 1 : 0;
  if (hasAll(entry.own, words)) return (entry.own.startsWith(words[0] ?? "") ? 0 : 2) + kind;
  if (hasAll(entry.whole, words)) return 4;
  return entry.values.some((value) => hasAll(value, words)) ? 5 : Infinity;
}

function hasAll(text, words) {
  return words.every((word) => text.includes(word));
}

/** The value of a picklist by which an entry was found, if it was. */
function matchingValue(entry, text) {
  const words = wordsOf(text);
  if (hasAll(entry.whole, words)) return null;
  return entry.field.values[entry.values.findIndex((value) => hasAll(value, words))];
}
