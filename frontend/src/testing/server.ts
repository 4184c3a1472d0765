import { http, HttpResponse } from "msw";
import { setupServer } from "msw/node";

import type { Catalog, Health } from "../shared/api";
import { CATALOG } from "./catalog";
import { ERRORS, HEALTH, QUOTE, endpointDetail } from "./endpoint";

/** Answers what is free with the samples until a test says otherwise. */
export const server = setupServer(
  catalogAnswers(CATALOG),
  http.get("/api/catalog/*", () => HttpResponse.json(endpointDetail())),
  http.get("/api/errors", () => HttpResponse.json({ errors: ERRORS })),
  http.post("/api/quote/*", () => HttpResponse.json(QUOTE)),
  healthAnswers(HEALTH),
);

export function catalogAnswers(catalog: Catalog) {
  return http.get("/api/catalog", () => HttpResponse.json(catalog));
}

export function catalogIsUnreachable() {
  return http.get("/api/catalog", () => HttpResponse.error());
}

export function catalogRefuses(status: number, message: string) {
  return http.get("/api/catalog", () => HttpResponse.json({ error: { message } }, { status }));
}

export function catalogNeverAnswers() {
  return http.get("/api/catalog", () => new Promise<never>(() => undefined));
}

export function healthAnswers(health: Health) {
  return http.get("/api/health", () => HttpResponse.json(health));
}
