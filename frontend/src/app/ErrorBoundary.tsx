import { Component, type ReactNode } from "react";

import { Button } from "../shared/ui/Button";
import { Notice } from "../shared/ui/Notice";

interface Props {
  readonly children: ReactNode;
}

/** A bug in a page ends here instead of in an empty window. React itself writes it to the console. */
export class ErrorBoundary extends Component<Props, { readonly broken: boolean }> {
  override state = { broken: false };

  static getDerivedStateFromError() {
    return { broken: true };
  }

  override render(): ReactNode {
    if (!this.state.broken) return this.props.children;
    return (
      <main className="mx-auto max-w-page px-4 py-12">
        <Notice
          look="bad"
          role="alert"
          title="This page broke"
          action={<Button onClick={() => location.reload()}>Reload</Button>}
        >
          Nothing was charged by it. The server and what you have paid are not affected.
        </Notice>
      </main>
    );
  }
}
