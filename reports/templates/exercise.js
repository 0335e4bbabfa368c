"use strict";
// Compares each guess with what was measured, once its answer is opened, and counts the close ones. Nothing leaves the page.
(() => {
  const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key]);
  const short = (ratio) => (ratio < 10 ? ratio.toFixed(1) : ratio.toFixed(0));
  for (const exercise of document.querySelectorAll(".exercise")) {
    const answered = new Map();
    const score = exercise.querySelector(".score");
    for (const question of exercise.querySelectorAll(".question")) {
      const input = question.querySelector("input");
      const compared = question.querySelector(".compared");
      question.querySelector("details").addEventListener("toggle", (event) => {
        if (!event.target.open || answered.has(question)) return;
        const guess = Number(input.value.trim().replace(",", "."));
        const measured = Number(question.dataset.measured);
        const ratio = guess / measured;
        if (!(guess > 0) || !Number.isFinite(ratio)) {
          compared.textContent = exercise.dataset.none;
          return;
        }
        input.readOnly = true;
        const text = ratio >= 1 ? exercise.dataset.high : exercise.dataset.low;
        compared.textContent = fill(text, { ratio: short(Math.max(ratio, 1 / ratio)) });
        answered.set(question, ratio >= 0.5 && ratio <= 2);
        const close = [...answered.values()].filter(Boolean).length;
        score.textContent = fill(exercise.dataset.score, { close, count: answered.size });
      });
    }
  }
})();
