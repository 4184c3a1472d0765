import { toggleTheme, useTheme } from "../shared/theme";

/** Light or dark, until the system agrees. */
export function ThemeButton() {
  const theme = useTheme();
  return (
    <button
      type="button"
      aria-pressed={theme === "dark"}
      onClick={toggleTheme}
      className="-mr-3 grid size-11 place-items-center rounded-control text-ink2 hover:bg-sunken hover:text-ink"
    >
      <span className="sr-only">Dark theme</span>
      <svg
        aria-hidden="true"
        viewBox="0 0 20 20"
        fill="none"
        className="size-5 stroke-current stroke-[1.5]"
        strokeLinecap="round"
        strokeLinejoin="round"
      >
        {theme === "dark" ? (
          <path d="M10 6.5a3.5 3.5 0 1 1 0 7 3.5 3.5 0 0 1 0-7ZM10 2v1M10 17v1M2 10h1M17 10h1M4.3 4.3l.8.8M14.9 14.9l.8.8M4.3 15.7l.8-.8M14.9 5.1l.8-.8" />
        ) : (
          <path d="M16.5 12.2A7 7 0 0 1 7.8 3.5a7 7 0 1 0 8.7 8.7Z" />
        )}
      </svg>
    </button>
  );
}
