"use strict";
(() => {
  const all = (selector, under = document) => [...under.querySelectorAll(selector)];
  const form = document.getElementById("filters");
  const rows = all("#table tbody tr"), findings = all("details.e"), balancers = all("details.b"), sections = all("section.r");
  const [groups, heads] = all("#table thead tr").map(row => all("th", row));
  const words = new Map();
  // Returns the text of an element in lower case, for the search.
  const textOf = element => {
    if (!words.has(element)) words.set(element, element.textContent.toLowerCase());
    return words.get(element);
  };
  const balancerOf = number => document.getElementById("b" + number);
  const plural = (number, of, word) => `${number} of ${of} ${word}${of === 1 ? "" : "s"}`;

  // Puts the name of a balancer into the command of an example that several balancers share.
  const name = (finding, number) => {
    const place = finding.querySelector("code.run b");
    const link = finding.querySelector(`.names a[href="#b${number}"]`);
    if (place && link) place.textContent = link.textContent;
  };

  // Shows the column of one requirement, or all columns.
  const columns = requirement => {
    heads.forEach((head, at) => {
      const hide = requirement !== "" && head.dataset.r !== requirement;
      head.hidden = hide;
      for (const row of rows) row.cells[at + 1].hidden = hide;
    });
    let at = 0;
    for (const group of groups.slice(1)) {
      const span = Number(group.dataset.span), own = heads.slice(at, at += span).filter(head => !head.hidden).length;
      group.hidden = own === 0;
      if (own) group.colSpan = own;
    }
  };

  const filter = () => {
    const { search, balancer, requirement, verdict } = form.elements;
    const wanted = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = text => wanted.every(word => text.includes(word));
    columns(requirement.value);
    const shows = number => balancer.value === "" || balancer.value === number;
    for (const row of rows) {
      const marked = verdict.value === "" || [...row.cells].some(cell => !cell.hidden && cell.classList.contains(verdict.value));
      const text = textOf(row) + " " + textOf(balancerOf(row.dataset.b).firstElementChild);
      row.hidden = !(shows(row.dataset.b) && marked && found(text));
    }
    for (const entry of balancers) entry.hidden = document.getElementById("t" + entry.id.slice(1)).hidden;
    for (const finding of findings) {
      const own = finding.dataset.b.split(" ");
      const fits = own.some(shows) && (requirement.value === "" || requirement.value === finding.dataset.r)
        && (verdict.value === "" || verdict.value === finding.dataset.m);
      finding.hidden = !(fits && found(textOf(finding)));
      if (balancer.value !== "") name(finding, balancer.value);
    }
    for (const section of sections) {
      const own = all("details.e", section);
      section.hidden = own.length ? own.every(finding => finding.hidden) : wanted.length + balancer.value.length + verdict.value.length > 0
        || (requirement.value !== "" && section.id !== "r-" + requirement.value);
    }
    const left = list => list.filter(item => !item.hidden).length;
    form.querySelector("output").textContent =
      `Shown: ${plural(left(rows), rows.length, "balancer")}, ${plural(left(findings), findings.length, "example")}.`;
  };

  // Shows the target of the address, even if it is closed or filtered out.
  const reveal = () => {
    const target = location.hash.length > 1 && document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!target) return;
    if (form && target.closest("[hidden]")) { form.reset(); filter(); }
    for (let at = target; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
    target.scrollIntoView();
  };

  let opened = [];
  addEventListener("beforeprint", () => {
    opened = all("details:not([open])");
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => {
    for (const one of opened) one.open = false;
  });
  addEventListener("hashchange", reveal);
  document.addEventListener("click", event => {
    const link = event.target.closest("td a");
    const finding = link && document.getElementById(link.hash.slice(1));
    if (finding) name(finding, link.closest("tr").dataset.b);
    // Following the same link again does not change the address, so that no event follows.
    if (link && link.hash === location.hash) reveal();
  });
  if (form) {
    form.addEventListener("input", filter);
    form.addEventListener("reset", () => setTimeout(filter));
    form.addEventListener("submit", event => event.preventDefault());
    form.hidden = false;
    // A browser may have kept the previous input.
    filter();
  }
  reveal();
})();
