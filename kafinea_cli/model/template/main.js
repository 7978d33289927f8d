// The state of the page, and what changes it. The address has what is selected: `#module/field`.

const state = { module: null, field: null, active: 0, results: [], overview: false };
const search = byId("search");
const typeFilter = byId("type");
const mandatoryFilter = byId("mandatory");
const resultList = byId("results");

function currentFilter() {
  return { text: search.value, type: typeFilter.value, mandatory: mandatoryFilter.checked };
}

/** Selects what the address names. */
function readAddress() {
  const [name, fieldName] = location.hash.slice(1).split("/").map(decoded);
  const before = state.module;
  state.module = modules.get(name) ?? null;
  state.field = state.module?.fields.find((field) => field.name === fieldName) ?? null;
  if (state.module !== before) state.overview = false;
  document.title = [state.module?.label, `Data model of ${model.instance}`].filter(Boolean).join(" · ");
  showPicture();
  showResults();
  showDetails(state.module, state.field, currentFilter());
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part; // an address that someone typed
  }
}

function showPicture() {
  const around = state.module && !state.overview;
  const layout = around ? layoutAround(state.module) : layoutAll(byId("hubs").checked);
  draw(layout, state.module, state.field);
  byId("around").disabled = !state.module;
  byId("around").setAttribute("aria-pressed", String(Boolean(around)));
  byId("all").setAttribute("aria-pressed", String(!around));
  byId("hubs-label").hidden = Boolean(around) || !hubs.size;
}

// Results

function refilter() {
  state.active = 0;
  showResults();
  showDetails(state.module, state.field, currentFilter());
}

function showResults() {
  const filter = currentFilter();
  state.results = found(filter);
  const shown = state.results.slice(0, LONGEST_LIST);
  resultList.replaceChildren(...shown.map((entry, place) => resultItem(entry, place, filter)));
  byId("more").textContent = moreText(state.results.length - shown.length, shown.length);
  const isFiltered = Boolean(filter.text.trim() || filter.type || filter.mandatory);
  fade(isFiltered ? new Set(state.results.map((entry) => entry.module)) : null);
  showActive();
}

function moreText(left, shown) {
  if (!shown) return "Nothing found.";
  return left ? `${left.toLocaleString("en")} more: narrow the search.` : "";
}

function resultItem(entry, place, filter) {
  const { module, field } = entry;
  const isSelected = field ? field === state.field : module === state.module && !state.field;
  const link = linkTo(module, field);
  link.tabIndex = -1; // the search field has the focus
  link.append(element("small", {}, field ? fieldHint(entry, filter) : moduleHint(module)));
  return element(
    "li",
    { id: `result-${place}`, role: "option", class: isSelected ? "selected" : "" },
    link,
  );
}

function moduleHint(module) {
  return `${module.name} · ${counted(module.fields.length, "field")}`;
}

function fieldHint(entry, filter) {
  const { module, field } = entry;
  const value = matchingValue(entry, filter.text);
  return [module.label, field.name, value?.label].filter(Boolean).join(" · ");
}

function showActive() {
  const items = [...resultList.children];
  items.forEach((item, place) => {
    item.setAttribute("aria-selected", String(place === state.active));
  });
  const active = items[state.active];
  if (active) search.setAttribute("aria-activedescendant", active.id);
  else search.removeAttribute("aria-activedescendant");
}

function moveActive(step) {
  const last = resultList.children.length - 1;
  state.active = Math.max(0, Math.min(last, state.active + step));
  showActive();
  resultList.children[state.active]?.scrollIntoView({ block: "nearest" });
}

function openActive() {
  const entry = state.results[state.active];
  if (entry) location.hash = addressOf(entry.module, entry.field);
}

// Keys

const KEYS_OF_LIST = {
  ArrowDown: () => moveActive(1),
  ArrowUp: () => moveActive(-1),
  Enter: openActive,
};

const KEYS_IN_SEARCH = { ...KEYS_OF_LIST, Escape: stepBack };

const KEYS = {
  "/": () => search.select(),
  "+": () => zoom(1.3),
  "-": () => zoom(1 / 1.3),
  0: fit,
  Escape: stepBack,
};

function followKeys(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const action = keysFor(event.target).get(event.key);
  if (!action) return;
  event.preventDefault();
  action();
}

/** What keys do, by where the focus is. Arrows scroll the details, and Enter follows a link. */
function keysFor(target) {
  if (target === search) return new Map(Object.entries(KEYS_IN_SEARCH));
  if (target.closest("select")) return new Map();
  const ofList = target.closest("a, button, summary, #details") ? {} : KEYS_OF_LIST;
  return new Map(Object.entries({ ...KEYS, ...ofList }));
}

/** Clears the search, or, when there is none, the selection. */
function stepBack() {
  if (search.value || typeFilter.value || mandatoryFilter.checked) {
    search.value = "";
    typeFilter.value = "";
    mandatoryFilter.checked = false;
    refilter();
  } else {
    search.blur();
    location.hash = "";
  }
}

// Start

function fillIn() {
  const types = [...new Set(model.modules.flatMap((module) => module.fields.map((field) => field.type)))];
  typeFilter.append(new Option("all types", ""), ...types.sort().map((type) => new Option(type, type)));
  byId("summary").textContent = [
    model.instance,
    counted(model.modules.length, "module"),
    counted(fieldCount, "field"),
  ].join(" · ");
  const names = [...hubs].map((module) => module.label).join(", ");
  byId("hubs-label").querySelector("span").textContent = `lines to ${names}`;
}

function showWhole(overview) {
  state.overview = overview;
  showPicture();
  showResults();
}

fillIn();
search.addEventListener("input", refilter);
typeFilter.addEventListener("change", refilter);
mandatoryFilter.addEventListener("change", refilter);
byId("hubs").addEventListener("change", () => showWhole(state.overview));
byId("around").addEventListener("click", () => showWhole(false));
byId("all").addEventListener("click", () => showWhole(true));
byId("zoom-in").addEventListener("click", () => zoom(1.3));
byId("zoom-out").addEventListener("click", () => zoom(1 / 1.3));
byId("zoom-fit").addEventListener("click", fit);
canvas.addEventListener("wheel", followWheel, { passive: false });
canvas.addEventListener("pointerover", followHover);
canvas.addEventListener("pointerleave", () => highlight(null));
followPointers();
document.addEventListener("keydown", followKeys);
window.addEventListener("hashchange", readAddress);
window.addEventListener("resize", fit);
readAddress();
