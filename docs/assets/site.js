// SPDX-License-Identifier: Apache-2.0
// A copied terminal session is its commands alone: no prompts, no output.
(() => {
  const commands = (code) => {
    const copy = code.cloneNode(true);
    copy.querySelectorAll(".gp, .go").forEach((part) => part.remove());
    return copy.textContent.split("\n").filter((line) => line.trim()).join("\n") + "\n";
  };
  // Before the theme's own listener, which copies this attribute rather than the block.
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("[data-clipboard-target]");
    const code = button && document.querySelector(button.dataset.clipboardTarget);
    if (code?.querySelector(".gp")) button.dataset.clipboardText = commands(code);
  }, true);
})();
