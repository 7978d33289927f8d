// Elements. Text of the server only ever becomes a text node or an attribute, never HTML.

const SVG = "http://www.w3.org/2000/svg";

function byId(id) {
  return document.getElementById(id);
}

/** An HTML element: attributes, then children, which are elements or text. */
function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element. */
function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** The address within the page of a module, or of a field of it. */
function addressOf(module, field) {
  const parts = field ? [module.name, field.name] : [module.name];
  return `#${parts.map(encodeURIComponent).join("/")}`;
}

function linkTo(module, field, text = (field ?? module).label) {
  return element("a", { href: addressOf(module, field) }, text);
}
