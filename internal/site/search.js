// Looks for all words of the search in all pages; the index is a script, so that it works from a disk too.
const MOST = 12;
const AROUND = 60;
const up = document.currentScript.dataset.up;

document.querySelector("#search").addEventListener("input", ({ target }) => {
  const words = target.value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = [];
  for (const { URL, Title, Text } of words.length ? window.searchIndex : []) {
    const text = Text.toLowerCase();
    const title = Title.toLowerCase();
    if (words.every((word) => text.includes(word) || title.includes(word))) {
      const at = Math.max(0, text.indexOf(words[0]));
      const often = words.reduce((n, word) => n + text.split(word).length - 1 + (title.includes(word) ? 100 : 0), 0);
      found.push({ URL, Title, often, around: Text.slice(Math.max(0, at - AROUND), at + 2 * AROUND) });
    }
  }
  found.sort((a, b) => b.often - a.often);
  const list = document.querySelector("#found");
  list.hidden = words.length === 0;
  list.replaceChildren(
    ...(found.length ? found.slice(0, MOST) : [{ Title: "nothing", around: "" }]).map(({ URL, Title, around }) => {
      const item = document.createElement("li");
      const name = document.createElement(URL ? "a" : "span");
      name.textContent = Title;
      if (URL) name.href = up + URL;
      const small = document.createElement("small");
      small.textContent = around;
      item.append(name, small);
      return item;
    }),
  );
});
