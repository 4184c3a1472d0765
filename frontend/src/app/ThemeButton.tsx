import { Moon, Sun } from "lucide-react";

import { toggleTheme, useTheme } from "../shared/theme";

/** Light or dark, until the system agrees. */
export function ThemeButton() {
  const theme = useTheme();
  const Icon = theme === "dark" ? Sun : Moon;
  return (
    <button
      type="button"
      aria-pressed={theme === "dark"}
      onClick={toggleTheme}
      className="grid size-11 shrink-0 place-items-center rounded-control text-ink2 hover:bg-sunken hover:text-ink"
    >
      <span className="sr-only">Dark theme</span>
      <Icon aria-hidden="true" className="size-5" strokeWidth={1.75} />
    </button>
  );
}
