import type { ReactNode } from "react";
import { Link } from "react-router";

import { Header } from "./Header";

interface ShellProps {
  /** Whether the server plays: play money and canned answers. */
  readonly demo: boolean;
  readonly children: ReactNode;
}

/** What every page stands in. */
export function Shell({ demo, children }: ShellProps) {
  return (
    <div className="flex min-h-dvh flex-col">
      <a
        href="#main"
        className="sr-only rounded-control bg-surface px-4 py-2 focus:not-sr-only focus:absolute focus:top-2 focus:left-2"
      >
        Skip to content
      </a>
      {demo ? <DemoBanner /> : null}
      <Header />
      <main id="main" tabIndex={-1} className="mx-auto w-full max-w-page flex-1 px-4 outline-none">
        {children}
      </main>
      <Footer />
    </div>
  );
}

function DemoBanner() {
  return (
    <aside aria-label="Demo" className="bg-accentsoft px-4 py-2 text-center text-note text-accentink">
      Demo: play money, canned answers
    </aside>
  );
}

function Footer() {
  return (
    <footer className="mt-18 border-t border-line">
      <div className="mx-auto flex max-w-page flex-wrap justify-between gap-x-8 gap-y-2 px-4 py-8 text-note text-ink2">
        <p>Every sat is spent on an answer, yours, or on its way back to you.</p>
        <nav aria-label="More" className="flex flex-wrap gap-x-6">
          <FooterLink to="/docs/prices">Prices</FooterLink>
          <FooterLink to="/docs/privacy">Privacy</FooterLink>
          <FooterLink to="/status">Status</FooterLink>
          <a
            href="/api/catalog"
            className="inline-flex min-h-6 items-center underline underline-offset-4 hover:text-ink"
          >
            Catalog as JSON
          </a>
        </nav>
      </div>
    </footer>
  );
}

function FooterLink({ to, children }: { readonly to: string; readonly children: string }) {
  return (
    <Link to={to} className="inline-flex min-h-6 items-center underline underline-offset-4 hover:text-ink">
      {children}
    </Link>
  );
}
