// Photos may be dropped or pasted anywhere; UPLOAD is the number of the uploader's element.
const give = (files) => files.length && runMethod(UPLOAD, "addFiles", [[files[0]]]);
const holdsFiles = (event) => [...event.dataTransfer.types].includes("Files");
const mark = (on) => document.body.classList.toggle("age-dropping", on);

document.addEventListener("dragover", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  mark(true);
});
document.addEventListener("dragleave", (event) => event.relatedTarget || mark(false));
document.addEventListener("drop", (event) => {
  if (!holdsFiles(event)) return;
  event.preventDefault();
  mark(false);
  give(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => give(event.clipboardData.files));

// The box of the chosen face stands out.
document.addEventListener("change", (event) => {
  if (event.target.name !== "age-face") return;
  document
    .querySelectorAll(".age-box")
    .forEach((box) => box.classList.toggle("age-on", box.htmlFor === event.target.id));
});

// From now on a photo can be dropped; before, the browser would open it itself.
document.body.dataset.ready = "yes";
