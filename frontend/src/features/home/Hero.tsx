import type { ReactNode } from "react";

import { ButtonLink } from "../../shared/ui/Button";

interface HeroProps {
  /** The page's one h1. */
  readonly heading: ReactNode;
  /** How many models are listed; null while that is not known. */
  readonly models: number | null;
}

/** What this is in one sentence. */
export function Hero({ heading, models }: HeroProps) {
  return (
    <div className="pt-10 md:pt-18">
      {heading}
      <p className="mt-4 max-w-[56ch] text-body text-ink2">
        Send the request you would send to OpenAI. Pay the Lightning invoice that comes back. Get the answer.
        What the call does not use stays yours.
      </p>
      <div className="mt-6 flex flex-wrap gap-3">
        <ButtonLink to="/catalog">{models === null ? "Browse models" : `Browse ${models} models`}</ButtonLink>
        <ButtonLink to="/docs" look="plain">
          L402 in five minutes
        </ButtonLink>
      </div>
    </div>
  );
}
