// Classic and blocking on purpose: it runs before the first paint, so a chosen theme never flashes.
try {
  const theme = localStorage.getItem("theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
} catch {
  // Storage refused: the page follows the system.
}
