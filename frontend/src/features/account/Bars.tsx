import { exactMsat } from "../../shared/money";
import type { Spent } from "./usage";

const HEIGHT = 96;
const WIDTH = 12;
const GAP = 3;
/** A day with any spending at all is seen. */
const LEAST = 2;

interface BarsProps {
  readonly bars: readonly Spent[];
  readonly name: string;
}

/** One bar for each day. The figures are in the table beside it. */
export function Bars({ bars, name }: BarsProps) {
  const most = Math.max(1, ...bars.map(({ msat }) => msat));
  const width = bars.length * (WIDTH + GAP) - GAP;
  return (
    <svg
      role="img"
      aria-label={name}
      viewBox={`0 0 ${width} ${HEIGHT}`}
      preserveAspectRatio="none"
      className="mt-3 mb-1 block h-24 w-full"
    >
      <line
        x1="0"
        x2={width}
        y1={HEIGHT - 0.5}
        y2={HEIGHT - 0.5}
        className="stroke-line"
        vectorEffect="non-scaling-stroke"
      />
      {bars.map(({ name: day, msat }, index) => {
        const height = msat === 0 ? 0 : Math.max(LEAST, (msat / most) * (HEIGHT - 2));
        return (
          <rect
            key={day}
            x={index * (WIDTH + GAP)}
            y={HEIGHT - height}
            width={WIDTH}
            height={height}
            className="fill-ink2"
          >
            <title>{`${day}: ${exactMsat(msat)}`}</title>
          </rect>
        );
      })}
    </svg>
  );
}
