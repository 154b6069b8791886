// For mini-SHRDLU: the board at this step, and the constraints shown so far with the heads that read them.

function drawBoard() {
  const { constraints, said, squares } = about.boards;
  const board = squares[now.step].map((number) => make("span", number ? "block" : "", number ? `${number}` : ""));
  byId("board").replaceChildren(...board);
  byId("board-note").textContent = said[now.step];
  const go = said.findIndex((text) => text.startsWith("go "));
  const asked = go >= 0 && now.step >= go ? said[go].slice(3) : "";
  const lines = constraints.filter((step) => step <= now.step).map((step) => {
    const line = make("p", said[step].startsWith(`${asked}:`) ? "event asked" : "event", said[step]);
    if (hasMemory())
      run.provenance.writes[now.step].forEach((write, head) => {
        if (write !== step) return;
        const dot = make("b", "reader", "●");
        dot.style.color = headColour(head);
        line.append(dot);
      });
    return line;
  });
  byId("goals").replaceChildren(...lines);
}
