import type { ReactNode } from "react";

import { ThemeButton } from "./ThemeButton";

interface ShellProps {
  /** Whether the server plays: play money and canned answers. */
  readonly demo: boolean;
  readonly children: ReactNode;
}

/** What every page stands in. */
export function Shell({ demo, children }: ShellProps) {
  return (
    <>
      <a
        href="#main"
        className="sr-only rounded-control bg-surface px-4 py-2 focus:not-sr-only focus:absolute focus:top-2 focus:left-2"
      >
        Skip to content
      </a>
      {demo ? <DemoBanner /> : null}
      <header className="border-b border-line">
        <div className="mx-auto flex h-16 max-w-page items-center justify-between gap-4 px-4">
          <a href="/" className="-ml-2 flex min-h-11 items-center gap-2.5 rounded-control px-2 font-semibold">
            <Mark />
            <span className="hidden min-[400px]:inline">A little bit of money</span>
            <span className="min-[400px]:hidden">alittlebitofmoney</span>
          </a>
          <nav aria-label="On this page" className="flex items-center gap-1 text-control">
            <HeaderLink href="#pay">How to pay</HeaderLink>
            <HeaderLink href="#prices">Prices</HeaderLink>
            <ThemeButton />
          </nav>
        </div>
      </header>
      <main id="main" tabIndex={-1} className="mx-auto max-w-page px-4 outline-none">
        {children}
      </main>
      <footer className="mt-18 border-t border-line">
        <div className="mx-auto flex max-w-page flex-wrap justify-between gap-x-8 gap-y-2 px-4 py-8 text-note text-ink2">
          <p>Dollar prices are charged in sats, at the bitcoin price shown above.</p>
          <a href="/api/catalog" className="underline underline-offset-4 hover:text-ink">
            These prices as JSON
          </a>
        </div>
      </footer>
    </>
  );
}

function HeaderLink({ href, children }: { readonly href: string; readonly children: string }) {
  return (
    <a
      href={href}
      className="hidden min-h-11 items-center rounded-control px-3 text-ink2 hover:text-ink sm:flex"
    >
      {children}
    </a>
  );
}

function DemoBanner() {
  return (
    <aside aria-label="Demo" className="bg-accentsoft px-4 py-2 text-center text-note text-accentink">
      Demo: play money, canned answers
    </aside>
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
