import tailwindcss from "@tailwindcss/vite";
import react from "@vitejs/plugin-react";
import type { ProxyOptions } from "vite";
import { compression, defineAlgorithm } from "vite-plugin-compression2";
import { defineConfig } from "vitest/config";

const SERVER = "http://127.0.0.1:3000";

/** `/topup` is both a page and an API route: a browser that opens the address gets the page. */
const topup: ProxyOptions = {
  target: SERVER,
  bypass: (request) => {
    const opensPage = request.method === "GET" && request.headers.accept?.includes("text/html");
    return opensPage ? "/index.html" : undefined;
  },
};

/** `.br` and `.gz` beside each file that gets smaller by it; the server picks. Fonts are compressed already. */
const precompressed = compression({
  include: /\.(js|css|svg|txt)$/,
  threshold: 512,
  algorithms: [defineAlgorithm("brotliCompress"), defineAlgorithm("gzip", { level: 9 })],
});

export default defineConfig({
  plugins: [react(), tailwindcss(), precompressed],
  server: {
    proxy: {
      // Whatever has a path with `/v1/` is an API's; pages have none, except below /catalog.
      "^/(api/|(?!catalog/)[a-z0-9-]+/v1/|v1/|\\.well-known/|openapi\\.json|llms\\.txt)": { target: SERVER },
      "^/topup(/|\\?|$)": topup,
    },
  },
  build: {
    target: "es2022",
    // Newest features used: light-dark() and color-mix(). Named so that they are not compiled away.
    cssTarget: ["chrome123", "firefox120", "safari17.5"],
    // The content security policy allows no data: scripts or fonts, and needs no inline polyfill.
    assetsInlineLimit: 0,
    // By it the server names in each page the scripts that the page begins with (lib/web/page_scripts.py).
    manifest: true,
    modulePreload: { polyfill: false },
    // Few files: each costs a round trip's share on a phone. What every page needs, and what several pages do.
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: "vendor", test: /node_modules/, tags: ["$initial"], priority: 4 },
            { name: "app", tags: ["$initial"], priority: 3 },
            {
              name: "shared",
              test: /\/src\/(?!.*\/(Tabs|TokenOnce|Recipes))|lucide/,
              minShareCount: 2,
              priority: 2,
            },
            { name: "tabs", test: /@base-ui|\/Tabs/, minShareCount: 2, priority: 1 },
          ],
        },
      },
    },
  },
  test: {
    environment: "happy-dom",
    environmentOptions: { happyDOM: { url: "http://shop.test/" } },
    setupFiles: ["src/testing/setup.ts"],
    testTimeout: 30_000,
    restoreMocks: true,
    unstubGlobals: true,
  },
});
