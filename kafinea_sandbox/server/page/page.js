"use strict";

/** Brings the parts that change up to date. */
async function refresh() {
  if (document.hidden) return;
  const answer = await fetch("/");
  const now = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const id of ["modules", "requests"]) {
    document.getElementById(id).replaceChildren(...now.getElementById(id).childNodes);
  }
}

async function keepRefreshed() {
  await refresh().catch(() => {}); // the sandbox may have ended, or start again
  setTimeout(keepRefreshed, 2000);
}

function addCopyButton(block) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = "Copy";
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(block.querySelector("pre").textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  block.append(button);
}

document.querySelectorAll(".copy").forEach(addCopyButton);
setTimeout(keepRefreshed, 2000);
