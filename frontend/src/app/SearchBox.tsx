import { Search } from "lucide-react";
import { type FormEvent, useEffect, useRef } from "react";
import { Link, useNavigate } from "react-router";

/** Finds models and endpoints from every page; `/` puts the cursor into it. On phones it is a way to the catalog. */
export function SearchBox() {
  const input = useRef<HTMLInputElement>(null);
  const navigate = useNavigate();

  useEffect(() => {
    function onKey(event: KeyboardEvent) {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target))
        return;
      event.preventDefault();
      input.current?.focus();
    }
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);

  function search(event: FormEvent) {
    event.preventDefault();
    const words = input.current?.value.trim() ?? "";
    void navigate(words === "" ? "/catalog" : `/catalog?q=${encodeURIComponent(words)}`);
  }

  return (
    <>
      <form role="search" onSubmit={search} className="relative hidden md:block">
        <Search
          aria-hidden="true"
          strokeWidth={1.75}
          className="pointer-events-none absolute top-3 left-3 size-5 text-ink3"
        />
        <input
          ref={input}
          type="search"
          aria-label="Search models and endpoints"
          aria-keyshortcuts="/"
          placeholder="Search models"
          className="h-11 w-52 rounded-control border border-edge bg-surface pr-3 pl-10 text-control"
        />
      </form>
      <Link
        to="/catalog"
        aria-label="Search models"
        className="grid size-11 place-items-center rounded-control text-ink2 hover:bg-sunken hover:text-ink md:hidden"
      >
        <Search aria-hidden="true" className="size-5" strokeWidth={1.75} />
      </Link>
    </>
  );
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"))
  );
}
