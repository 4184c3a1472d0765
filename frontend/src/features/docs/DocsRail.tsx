import { ChevronDown } from "lucide-react";
import { NavLink } from "react-router";

import { type DocPage, PAGES, addressOf } from "./pages";

/** The pages, beside the text; on phones they unfold above it. */
export function DocsRail({ page }: { readonly page: DocPage }) {
  return (
    <nav aria-label="Documentation">
      {/* A page that is opened closes what was unfolded. */}
      <details key={page.slug} className="group rounded-control border border-edge bg-surface md:hidden">
        <summary className="flex h-11 cursor-pointer list-none items-center justify-between px-3 text-control font-medium [&::-webkit-details-marker]:hidden">
          {page.title}
          <ChevronDown aria-hidden="true" className="size-5 text-ink3 group-open:rotate-180" />
        </summary>
        <div className="border-t border-line p-2">
          <Links />
        </div>
      </details>
      <div className="sticky top-6 hidden md:block">
        <Links />
      </div>
    </nav>
  );
}

function Links() {
  return (
    <ul className="grid">
      {PAGES.map((page) => (
        <li key={page.slug}>
          <NavLink
            to={addressOf(page)}
            end
            className="flex min-h-10 items-center rounded-control px-3 text-control text-ink2 hover:bg-sunken hover:text-ink aria-[current=page]:bg-sunken aria-[current=page]:font-medium aria-[current=page]:text-ink"
          >
            {page.title}
          </NavLink>
        </li>
      ))}
    </ul>
  );
}
