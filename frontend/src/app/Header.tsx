import { Link, NavLink } from "react-router";

import { AccountChip } from "./AccountChip";
import { PaymentsChip } from "./PaymentsChip";
import { SearchBox } from "./SearchBox";
import { ThemeButton } from "./ThemeButton";

/** Mark, pages, search, theme and what the visitor has. On phones the pages stand in a row of their own. */
export function Header() {
  return (
    <header className="border-b border-line">
      <div className="mx-auto flex max-w-page flex-wrap items-center gap-x-2 px-4">
        <Link
          to="/"
          className="-ml-2 flex h-14 items-center gap-2.5 rounded-control px-2 font-semibold whitespace-nowrap sm:h-16"
        >
          <Mark />
          <span className="sr-only min-[400px]:not-sr-only">alittlebitofmoney</span>
        </Link>
        <div className="order-last flex w-full items-center justify-between gap-2 sm:order-none sm:ml-4 sm:w-auto sm:flex-1">
          <Nav />
          <PaymentsChip />
        </div>
        <div className="ml-auto flex items-center gap-1">
          <SearchBox />
          <ThemeButton />
          <AccountChip />
        </div>
      </div>
    </header>
  );
}

function Nav() {
  return (
    <nav aria-label="Pages" className="-ml-2 flex text-control sm:ml-0">
      <PageLink to="/catalog">Catalog</PageLink>
      <PageLink to="/docs">Docs</PageLink>
      <PageLink to="/status">Status</PageLink>
    </nav>
  );
}

function PageLink({ to, children }: { readonly to: string; readonly children: string }) {
  return (
    <NavLink
      to={to}
      className="flex h-11 items-center rounded-control px-2 text-ink2 sm:px-3 hover:text-ink aria-[current=page]:font-medium aria-[current=page]:text-ink"
    >
      {children}
    </NavLink>
  );
}

function Mark() {
  return (
    <svg
      aria-hidden="true"
      viewBox="0 0 20 20"
      fill="none"
      className="size-5 stroke-[2.5]"
      strokeLinecap="round"
    >
      <path d="M2 4h16M2 10h16" className="stroke-ink" />
      <path d="M2 16h5" className="stroke-accent" />
    </svg>
  );
}
