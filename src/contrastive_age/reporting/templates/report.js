// Without this everything is there all the same: it copies commands, and unfolds what is linked to or printed.
for (const button of document.querySelectorAll("button.copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const command = button.parentElement.querySelector("code");
    let copied = true;
    try {
      await navigator.clipboard.writeText(command.textContent);
    } catch {
      // An older browser, or one that grants files no clipboard.
      getSelection().selectAllChildren(command);
      copied = document.execCommand("copy");
    }
    button.textContent = copied ? "Copied" : "Press Ctrl+C";
    document.getElementById("said").textContent = button.textContent;
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}
const unfold = (details) => { details.open = true; };
const goTo = () => {
  const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  for (let place = target; place; place = place.parentElement) if (place.tagName === "DETAILS") unfold(place);
  target?.scrollIntoView();
};
addEventListener("hashchange", goTo);
if (location.hash) goTo();
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...document.querySelectorAll("details:not([open])")];
  folded.forEach(unfold);
});
addEventListener("afterprint", () => { for (const details of folded) details.open = false; });
