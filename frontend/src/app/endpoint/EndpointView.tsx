import { Suspense, lazy } from "react";
import { Link } from "react-router";

import { NotForSale, Shutdown } from "../../features/catalog/ModelMarks";
import { CostAside } from "../../features/endpoint/CostAside";
import { Examples } from "../../features/endpoint/Examples";
import { ParameterTable } from "../../features/endpoint/ParameterTable";
import { BitcoinPrice } from "../../features/price/BitcoinPrice";
import type { Api, Catalog, Endpoint, EndpointDetail, Model } from "../../shared/api";
import { Bone } from "../../shared/ui/Bone";
import { ErrorTable } from "../../shared/ui/ErrorTable";
import { Notice } from "../../shared/ui/Notice";
import { PageHeading } from "../../shared/ui/PageHeading";
import { Tabs } from "../../shared/ui/Tabs";
import { useEndpoint } from "../../shared/useEndpoint";
import { useErrors } from "../../shared/useErrors";
import { useWallet } from "../../shared/wallet/wallet";

const TryIt = lazy(async () => ({ default: (await import("../../features/tryit/TryIt")).TryIt }));

interface EndpointViewProps {
  readonly api: Api;
  readonly endpoint: Endpoint;
  readonly catalog: Catalog;
  readonly receivedAt: number;
  readonly tab: string;
  readonly onTab: (tab: string) => void;
  /** The model named in the address, if one is. */
  readonly modelId: string | null;
  readonly onModel: (id: string) => void;
}

/** Try it, copy it, look it up; and beside it what it costs. */
export function EndpointView(props: EndpointViewProps) {
  const { api, endpoint, catalog, receivedAt, tab, onTab, onModel } = props;
  const model = modelOf(endpoint, props.modelId);
  const toTry = {
    value: "try",
    label: "Try it",
    panel: <TryTab api={api} endpoint={withModel(endpoint, model?.id)} onModel={onModel} />,
  };
  const tabs = [
    ...(endpoint.ended === null ? [toTry] : []),
    { value: "examples", label: "Examples", panel: <ExamplesTab api={api} endpoint={endpoint} /> },
    { value: "parameters", label: "Parameters", panel: <ParametersTab api={api} endpoint={endpoint} /> },
    { value: "errors", label: "Errors", panel: <ErrorsTab /> },
  ];
  return (
    <div className="grid gap-6 pt-8">
      <Head api={api} endpoint={endpoint} />
      <div className="grid items-start gap-x-10 gap-y-6 md:grid-cols-[minmax(0,1fr)_300px]">
        {model === undefined ? null : (
          <div className="md:sticky md:top-6 md:order-last">
            <CostAside
              endpoint={endpoint}
              model={model}
              // The form has a choice of its own.
              onModel={tab === "try" ? null : onModel}
              marks={marksOf(model)}
              bitcoinUsd={catalog.btc_price?.usd ?? null}
              price={
                catalog.btc_price === null ? (
                  <p className="text-note text-warn">No bitcoin price right now</p>
                ) : (
                  <BitcoinPrice price={catalog.btc_price} receivedAt={receivedAt} />
                )
              }
            />
          </div>
        )}
        <div className="grid min-w-0 gap-6">
          {endpoint.ended === null ? null : (
            <Notice look="warn" title={`${endpoint.title} is not sold any more`}>
              {`${api.title} ended the last model of this endpoint on ${endpoint.ended}.`}
            </Notice>
          )}
          <Tabs
            name={endpoint.title}
            tabs={tabs}
            value={tabs.some(({ value }) => value === tab) ? tab : (tabs[0]?.value ?? "try")}
            onChange={onTab}
          />
        </div>
      </div>
    </div>
  );
}

function marksOf({ shutdown, paused }: Model) {
  if (shutdown === null && !paused) return null;
  return (
    <>
      {paused ? <NotForSale>paused</NotForSale> : null}{" "}
      {shutdown === null ? null : <Shutdown date={shutdown} />}
    </>
  );
}

function Head({ api, endpoint }: { readonly api: Api; readonly endpoint: Endpoint }) {
  return (
    <div>
      <nav aria-label="Breadcrumb" className="text-note text-ink2">
        <Link to="/catalog" className="inline-flex min-h-6 items-center underline-offset-4 hover:underline">
          Catalog
        </Link>
        <span aria-hidden="true"> / </span>
        <Link
          to={`/catalog?api=${api.name}`}
          className="inline-flex min-h-6 items-center underline-offset-4 hover:underline"
        >
          {api.title}
        </Link>
      </nav>
      <PageHeading title={`${endpoint.title} · ${api.title}`}>{endpoint.title}</PageHeading>
      <p className="mt-1 text-note wrap-anywhere text-ink2">
        <code className="font-mono text-meta">
          {endpoint.method} {endpoint.url}
        </code>
        {api.default ? (
          <>
            , also at <code className="font-mono text-meta">{endpoint.path}</code>
          </>
        ) : null}
      </p>
      <p className="mt-2 max-w-prose text-control text-ink2">
        {`The request and the answer are ${api.title}'s own`}
        {endpoint.streaming ? ", streamed if you ask for it" : ""}. You pay for what the call used; if it
        fails, nothing.
      </p>
    </div>
  );
}

interface TryTabProps {
  readonly api: Api;
  readonly endpoint: Endpoint;
  readonly onModel: (id: string) => void;
}

function TryTab({ api, endpoint, onModel }: TryTabProps) {
  return (
    <Suspense fallback={<Bone className="h-96 rounded-card! bg-sunken!" />}>
      <TryIt key={endpoint.url} api={api} endpoint={endpoint} onModel={onModel} />
    </Suspense>
  );
}

function ExamplesTab({ api, endpoint }: { readonly api: Api; readonly endpoint: Endpoint }) {
  const { data, error } = useEndpoint(api.name, endpoint);
  const { token } = useWallet();
  return (
    <Detail data={data} failed={error !== null}>
      {({ examples }) => <Examples examples={examples} origin={location.origin} token={token} />}
    </Detail>
  );
}

function ParametersTab({ api, endpoint }: { readonly api: Api; readonly endpoint: Endpoint }) {
  const { data, error } = useEndpoint(api.name, endpoint);
  return (
    <Detail data={data} failed={error !== null}>
      {({ parameters }) => <ParameterTable parameters={parameters} />}
    </Detail>
  );
}

function ErrorsTab() {
  const { data, error } = useErrors();
  return (
    <div className="grid gap-4">
      <p className="max-w-prose text-control text-ink2">
        No error charges anything: what was paid stays on its credential or token. A request that is wrong is
        refused before any invoice.
      </p>
      <ErrorTable rows={data} failed={error !== null} />
    </div>
  );
}

interface DetailProps {
  readonly data: EndpointDetail | undefined;
  readonly failed: boolean;
  readonly children: (detail: EndpointDetail) => React.ReactNode;
}

function Detail({ data, failed, children }: DetailProps) {
  if (data !== undefined) return children(data);
  if (failed)
    return <Notice look="bad" role="alert" title="The server did not tell more about this endpoint" />;
  return <Bone className="h-96 rounded-card! bg-sunken!" />;
}

/** The one in the address, else the example's, else the first. */
function modelOf(endpoint: Endpoint, id: string | null) {
  const named = (wanted: unknown) => endpoint.models.find((model) => model.id === wanted);
  const example = endpoint.example.body?.["model"] ?? endpoint.example.fields?.["model"];
  return named(id) ?? named(example) ?? endpoint.models[0];
}

/** The endpoint, its example asking the given model. */
function withModel(endpoint: Endpoint, model: string | undefined): Endpoint {
  const { example } = endpoint;
  if (model === undefined) return endpoint;
  const body = example.body !== null && "model" in example.body ? { ...example.body, model } : example.body;
  const fields =
    example.fields !== null && "model" in example.fields ? { ...example.fields, model } : example.fields;
  return { ...endpoint, example: { ...example, body, fields } };
}
