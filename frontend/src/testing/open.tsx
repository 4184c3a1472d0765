import { render } from "@testing-library/react";

import { App } from "../app/App";
import { createQueryClient } from "../app/queryClient";

/** The app at an address, as if it had just been typed in. */
export function open(address: string) {
  history.pushState(null, "", address);
  const queryClient = createQueryClient();
  // One try: the tests are about what is drawn, not about how often it is asked.
  queryClient.setDefaultOptions({ queries: { retry: false } });
  return render(<App queryClient={queryClient} />);
}

/** Text with no-break spaces as plain ones. */
export function plain(element: Element | null | undefined): string {
  return (element?.textContent ?? "").replaceAll("\u00a0", " ");
}
