// Finds definitions and messages by a part of their names. The pages are whole without it.
const place = document.getElementById("search");
const input = document.createElement("input");
input.type = "search";
input.placeholder = "Search";
input.setAttribute("aria-label", "Search definitions and messages");
const list = document.createElement("ul");
list.hidden = true;
place.append(input, list);
input.addEventListener("input", () => {
  const words = input.value.toLowerCase().split(/\s+/).filter(word => word);
  const found = words.length === 0 ? [] : entries
    .filter(([name]) => words.every(word => name.toLowerCase().includes(word)))
    .sort(([a], [b]) => a.length - b.length)
    .slice(0, 20);
  list.replaceChildren(...found.map(([name, page]) => {
    const link = document.createElement("a");
    link.href = page;
    link.textContent = name;
    const item = document.createElement("li");
    item.append(link);
    return item;
  }));
  list.hidden = found.length === 0;
});
