// Before the first paint: the theme that was chosen here, if any. Otherwise the
// system's is followed.
(() => {
  const chosen = sessionStorage.getItem("theme");
  if (chosen) {
    document.documentElement.dataset.theme = chosen;
  }
})();
