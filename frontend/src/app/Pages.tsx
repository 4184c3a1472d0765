import { Suspense, lazy } from "react";
import { Route, Routes } from "react-router";

import { Bone } from "../shared/ui/Bone";
import { NotFoundPage } from "./NotFoundPage";

const HomePage = lazy(() => import("./home/HomePage"));
const CatalogPage = lazy(() => import("./catalog/CatalogPage"));
const EndpointPage = lazy(() => import("./endpoint/EndpointPage"));
const TopupPage = lazy(() => import("./topup/TopupPage"));
const AccountPage = lazy(() => import("./account/AccountPage"));
const DocsPage = lazy(() => import("./docs/DocsPage"));
const StatusPage = lazy(() => import("./status/StatusPage"));

/** Which page stands at which address. */
export function Pages() {
  return (
    <Suspense fallback={<PageLoading />}>
      <Routes>
        <Route path="/" element={<HomePage />} />
        <Route path="/catalog" element={<CatalogPage />} />
        <Route path="/catalog/:api/*" element={<EndpointPage />} />
        <Route path="/topup" element={<TopupPage />} />
        <Route path="/account" element={<AccountPage />} />
        <Route path="/docs/*" element={<DocsPage />} />
        <Route path="/status" element={<StatusPage />} />
        <Route path="*" element={<NotFoundPage />} />
      </Routes>
    </Suspense>
  );
}

function PageLoading() {
  return (
    <div className="grid min-h-dvh content-start gap-4 pt-8">
      <p role="status" className="sr-only">
        Loading the page
      </p>
      <Bone className="h-8 w-64 max-w-full" />
      <Bone className="h-4 w-96 max-w-full" />
      <Bone className="h-4 w-80 max-w-full" />
    </div>
  );
}
