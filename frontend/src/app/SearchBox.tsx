import { Search } from "lucide-react";
import {
  type FormEvent,
  type KeyboardEvent,
  useEffect,
  useEffectEvent,
  useId,
  useMemo,
  useRef,
  useState,
} from "react";
import { Link, useNavigate } from "react-router";

import { SuggestionList, optionId } from "../features/catalog/SuggestionList";
import { endpointPage, rowsOf } from "../features/catalog/rows";
import { suggestionsFor } from "../features/catalog/suggest";
import { useCatalog } from "../shared/useCatalog";

/** Finds models and endpoints from every page; `/` puts the cursor into it. On phones it is a way to the catalog. */
export function SearchBox() {
  return (
    <>
      <Combobox />
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

function Combobox() {
  const listId = useId();
  const input = useRef<HTMLInputElement>(null);
  const navigate = useNavigate();
  const { data: catalog } = useCatalog();
  const [words, setWords] = useState("");
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(-1);
  const rows = useMemo(() => (catalog === undefined ? [] : rowsOf(catalog)), [catalog]);
  const suggestions = suggestionsFor(rows, words);
  const shown = open && suggestions.found > 0;
  const options = suggestions.rows.length + 1;
  useSlash(() => input.current?.focus());

  function leave(address: string) {
    setWords("");
    setOpen(false);
    input.current?.blur();
    void navigate(address);
  }

  function choose(index: number) {
    const row = suggestions.rows[index];
    const [endpoint] = row?.endpoints ?? [];
    if (row !== undefined && endpoint !== undefined) leave(endpointPage(endpoint, row.model));
    else leave(searchPage(words));
  }

  function onKeyDown(event: KeyboardEvent) {
    if (event.key === "Escape") {
      if (!shown) setWords("");
      setOpen(false);
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const step = event.key === "ArrowDown" ? 1 : -1;
      // From the last option back to the words, and on to the first.
      setActive(shown ? ((active + 1 + step + options + 1) % (options + 1)) - 1 : -1);
      setOpen(true);
    } else return;
    event.preventDefault();
  }

  return (
    <form
      role="search"
      onSubmit={(event: FormEvent) => {
        event.preventDefault();
        if (shown && active >= 0) choose(active);
        else leave(searchPage(words));
      }}
      className="relative hidden md:block"
    >
      <Search
        aria-hidden="true"
        strokeWidth={1.75}
        className="pointer-events-none absolute top-3 left-3 size-5 text-ink3"
      />
      <input
        ref={input}
        role="combobox"
        type="text"
        inputMode="search"
        enterKeyHint="search"
        autoComplete="off"
        spellCheck={false}
        aria-label="Search models and endpoints"
        aria-keyshortcuts="/"
        aria-autocomplete="list"
        aria-expanded={shown}
        aria-controls={shown ? listId : undefined}
        aria-activedescendant={shown && active >= 0 ? optionId(listId, active) : undefined}
        placeholder="Search models"
        value={words}
        onChange={(event) => {
          setWords(event.target.value);
          setActive(-1);
          setOpen(true);
        }}
        onFocus={() => setOpen(true)}
        onBlur={() => setOpen(false)}
        onKeyDown={onKeyDown}
        className="peer h-11 w-52 rounded-control border border-edge bg-surface pr-9 pl-10 text-control"
      />
      <kbd
        aria-hidden="true"
        className="pointer-events-none absolute top-3 right-3 rounded-chip border border-line px-1.5 text-meta leading-[18px] text-ink3 peer-focus:hidden"
      >
        /
      </kbd>
      {open ? (
        <span role="status" className="sr-only">
          {words.trim() === "" ? "" : countText(suggestions.found)}
        </span>
      ) : null}
      {shown ? (
        <SuggestionList
          id={listId}
          suggestions={suggestions}
          active={active}
          onChoose={choose}
          onPoint={setActive}
        />
      ) : null}
    </form>
  );
}

function searchPage(words: string): string {
  const wanted = words.trim();
  return wanted === "" ? "/catalog" : `/catalog?q=${encodeURIComponent(wanted)}`;
}

function countText(found: number): string {
  if (found === 0) return "No model matches";
  return found === 1 ? "1 model matches" : `${found} models match`;
}

/** Calls back when `/` is pressed anywhere but in a field. */
function useSlash(onSlash: () => void) {
  const call = useEffectEvent(onSlash);
  useEffect(() => {
    function onKey(event: globalThis.KeyboardEvent) {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target))
        return;
      event.preventDefault();
      call();
    }
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && (target.isContentEditable || target.matches("input, textarea, select"))
  );
}
