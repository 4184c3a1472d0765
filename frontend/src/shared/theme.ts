import { useSyncExternalStore } from "react";

export type Theme = "light" | "dark";

// public/theme.js reads the same key before the first paint.
const STORAGE_KEY = "theme";

const listeners = new Set<() => void>();

function systemTheme(): Theme {
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

function shownTheme(): Theme {
  const chosen = document.documentElement.dataset["theme"];
  return chosen === "dark" || chosen === "light" ? chosen : systemTheme();
}

function subscribe(listener: () => void): () => void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  listeners.add(listener);
  system.addEventListener("change", listener);
  return () => {
    listeners.delete(listener);
    system.removeEventListener("change", listener);
  };
}

/** Storage may be refused; the choice then lasts as long as the page. */
function remember(choice: Theme | null): void {
  try {
    if (choice === null) localStorage.removeItem(STORAGE_KEY);
    else localStorage.setItem(STORAGE_KEY, choice);
  } catch {
    // Nothing to do: the page already shows the choice.
  }
}

/** Shows the other theme. Choosing what the system has anyway means following the system again. */
export function toggleTheme(): void {
  const wanted: Theme = shownTheme() === "dark" ? "light" : "dark";
  const choice = wanted === systemTheme() ? null : wanted;
  if (choice === null) delete document.documentElement.dataset["theme"];
  else document.documentElement.dataset["theme"] = choice;
  remember(choice);
  for (const listener of listeners) listener();
}

/** The theme on screen now, whoever chose it. */
export function useTheme(): Theme {
  return useSyncExternalStore(subscribe, shownTheme);
}
