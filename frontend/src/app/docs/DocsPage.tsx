import { Suspense, useEffect } from "react";
import { useLocation, useParams } from "react-router";

import { DocsRail } from "../../features/docs/DocsRail";
import { PAGES } from "../../features/docs/pages";
import { Bone } from "../../shared/ui/Bone";
import { PageHeading } from "../../shared/ui/PageHeading";
import { NotFoundPage } from "../NotFoundPage";

/** The documentation: a rail of pages, and one of them. */
export default function DocsPage() {
  const { "*": rest } = useParams();
  const slug = (rest ?? "").replace(/\/$/, "");
  const page = PAGES.find((one) => one.slug === slug);
  if (page === undefined) return <NotFoundPage />;
  const { title, lead, Body } = page;
  return (
    <div className="grid items-start gap-x-12 gap-y-6 pt-8 md:grid-cols-[200px_minmax(0,720px)]">
      <DocsRail page={page} />
      <article className="grid gap-8">
        <div>
          <PageHeading title={title}>{title}</PageHeading>
          <p className="mt-1 text-body text-ink2">{lead}</p>
        </div>
        <Suspense fallback={<Bone className="h-96 rounded-card! bg-sunken!" />}>
          <div className="grid gap-10">
            <Body />
            <AtItsPart />
          </div>
        </Suspense>
      </article>
    </div>
  );
}

/** Goes to the part that the address names, once the page's text is there. */
function AtItsPart() {
  const { hash } = useLocation();
  useEffect(() => {
    if (hash !== "") document.getElementById(decodeURIComponent(hash.slice(1)))?.scrollIntoView();
  }, [hash]);
  return null;
}
