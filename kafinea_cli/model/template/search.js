// Searching modules, fields and values of picklists, regardless of case and accents.

const LONGEST_LIST = 200;

/** Everything that can be found: `{module, field, own, whole, values}`, the last three folded. */
const entries = model.modules.flatMap((module) => {
  const own = folded(`${module.label} ${module.name}`);
  return [
    { module, field: null, own, whole: own, values: "" },
    ...module.fields.map((field) => fieldEntry(module, field, own)),
  ];
});

function fieldEntry(module, field, moduleText) {
  const own = folded(`${field.label} ${field.name}`);
  const values = folded(field.values.map(({ value, label }) => `${label} ${value}`).join("\n"));
  return { module, field, own, whole: `${own} ${moduleText}`, values };
}

function folded(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** What matches a search, the best first. `filter` has `text`, `type` and `mandatory`. */
function found(filter) {
  const words = folded(filter.text).split(/\s+/).filter(Boolean);
  const ofFields = Boolean(filter.type) || filter.mandatory;
  if (!words.length && !ofFields) return entries.filter((entry) => !entry.field);
  return entries
    .filter((entry) => (entry.field ? passes(entry.field, filter) : !ofFields))
    .map((entry) => ({ entry, rank: rankOf(entry, words) }))
    .filter(({ rank }) => rank < Infinity)
    .sort((a, b) => a.rank - b.rank)
    .map(({ entry }) => entry);
}

/** Whether a field is of the type that is wanted, and mandatory if only those are. */
function passes(field, { type, mandatory }) {
  return (!type || field.type === type) && (!mandatory || field.mandatory);
}

function rankOf(entry, words) {
  const kind = entry.field ? 1 : 0;
  if (words.every((word) => entry.own.includes(word))) {
    return (entry.own.startsWith(words[0] ?? "") ? 0 : 2) + kind;
  }
  if (words.every((word) => entry.whole.includes(word))) return 4;
  return words.every((word) => entry.values.includes(word)) ? 5 : Infinity;
}

/** The first value of a picklist that matches, to show why its field was found. */
function matchingValue(field, text) {
  const words = folded(text).split(/\s+/).filter(Boolean);
  if (!words.length) return null;
  const matches = (value) => words.every((word) => folded(value.label + value.value).includes(word));
  return field.values.find(matches) ?? null;
}
