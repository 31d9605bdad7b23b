"use strict";
(() => {
  const one = (selector) => document.querySelector(selector);
  // Behind a proxy the server does not know the address that the reader sees.
  if (location.protocol.startsWith("http")) {
    for (const place of document.querySelectorAll(".origin")) place.textContent = location.origin;
  }

  for (const button of document.querySelectorAll("button.copy")) {
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 1200);
    });
  }

  const form = one("form");
  const dot = one(".dot");
  const state = one("#state");
  fetch(form.dataset.health).then(
    (answer) => {
      dot.classList.add(answer.ok ? "up" : "down");
      state.textContent = answer.ok ? "ready" : "not ready";
    },
    () => { dot.classList.add("down"); state.textContent = "unreachable"; },
  );

  const show = (verdict, isGood, detail, body) => {
    one("#status").textContent = verdict;
    one("#status").classList.toggle("bad", !isGood);
    one("#time").textContent = detail;
    one("#answer").textContent = body;
    one(".result").hidden = false;
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const send = one("button.send");
    const headers = { "Content-Type": "application/json" };
    if (form.key.value) headers.Authorization = "Bearer " + form.key.value;
    send.disabled = true;
    const began = performance.now();
    try {
      const answer = await fetch(form.dataset.score, { method: "POST", headers, body: form.payload.value });
      const text = await answer.text();
      const ms = (performance.now() - began).toFixed(1);
      const id = answer.headers.get("x-request-id");
      show(`${answer.status} ${answer.statusText}`, answer.ok, `${ms} ms` + (id ? ` · request ${id}` : ""), text);
    } catch (error) {
      show("No answer", false, String(error.message || error), "");
    } finally {
      send.disabled = false;
    }
  });

  form.payload.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
})();
