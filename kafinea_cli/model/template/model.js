"use strict";

// The document, and what is looked up in it.

const model = JSON.parse(document.getElementById("model").textContent);

const byLabel = new Intl.Collator(undefined, { numeric: true });
model.modules.sort((a, b) => byLabel.compare(a.label, b.label) || byLabel.compare(a.name, b.name));

const modules = new Map(model.modules.map((module) => [module.name, module]));

const fieldCount = model.modules.reduce((count, module) => count + module.fields.length, 0);

/** The references between modules: `{from, field, to}`. */
const references = model.modules.flatMap((from) =>
  from.fields.flatMap((field) =>
    field.refers_to
      .filter((name) => modules.has(name))
      .map((name) => ({ from, field, to: modules.get(name) })),
  ),
);

const outgoing = grouped(references, (reference) => reference.from);
const incoming = grouped(references, (reference) => reference.to);

/** The modules that most others refer to, such as Users: their lines hide all others. */
const hubs = new Set(model.modules.filter(isHub));

function isHub(module) {
  const referring = new Set(referencesTo(module).map((reference) => reference.from));
  return model.modules.length >= 8 && referring.size > model.modules.length / 2;
}

function referencesFrom(module) {
  return outgoing.get(module) ?? [];
}

function referencesTo(module) {
  return incoming.get(module) ?? [];
}

/** What is in a list, by a key of each. */
function grouped(list, keyOf) {
  const groups = new Map();
  for (const entry of list) {
    const key = keyOf(entry);
    if (!groups.has(key)) groups.set(key, []);
    groups.get(key).push(entry);
  }
  return groups;
}

function counted(number, singular, plural = `${singular}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? singular : plural}`;
}
