/** A line chart as SVG text, with colours that suit a light and a dark page alike. */

export interface LineChart {
  readonly title: string;
  /** Under the title: the machine, the command. */
  readonly caption: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly lines: readonly Line[];
}

interface Axis {
  readonly label: string;
  readonly scale: 'linear' | 'log';
}

export interface Line {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
}

const WIDTH = 720;
const HEIGHT = 400;
const LEFT = 70;
const RIGHT = 20;
const TOP = 64;
const BOTTOM = 56;
const MOST_POINTS = 200;
const STYLE = [
  'svg{font:13px system-ui,sans-serif;background:#fff}text{fill:#24292f}.small{font-size:11px;fill:#57606a}',
  '.grid{stroke:#d0d7de}.line{fill:none;stroke-width:2}.c0{stroke:#0969da;fill:#0969da}.c1{stroke:#cf222e;fill:#cf222e}.c2{stroke:#1a7f37;fill:#1a7f37}',
  '.line.c0,.line.c1,.line.c2{fill:none}text.c0,text.c1,text.c2{stroke:none}',
  '@media(prefers-color-scheme:dark){svg{background:#0d1117}text{fill:#e6edf3}.small{fill:#8d96a0}.grid{stroke:#30363d}',
  '.c0{stroke:#58a6ff;fill:#58a6ff}.c1{stroke:#ff7b72;fill:#ff7b72}.c2{stroke:#3fb950;fill:#3fb950}}',
].join('');

export function lineChartSvg({ title, caption, x, y, lines }: LineChart): string {
  const points = lines.flatMap((line) => line.points);
  const across = positions(
    x.scale,
    points.map(([value]) => value),
    [LEFT, WIDTH - RIGHT],
  );
  const up = positions(
    y.scale,
    points.map(([, value]) => value),
    [HEIGHT - BOTTOM, TOP],
  );
  const middle = LEFT + (WIDTH - LEFT - RIGHT) / 2;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escaped(title)}">`,
    `<style>${STYLE}</style>`,
    `<text x="${LEFT}" y="24" font-weight="600">${escaped(title)}</text>`,
    `<text x="${LEFT}" y="42" class="small">${escaped(caption)}</text>`,
    ...across.ticks.map((tick) =>
      [
        `<path class="grid" d="M${fixed(across.at(tick))} ${TOP}V${HEIGHT - BOTTOM}"/>`,
        `<text class="small" text-anchor="middle" x="${fixed(across.at(tick))}" y="${HEIGHT - BOTTOM + 16}">${formatTick(tick)}</text>`,
      ].join(''),
    ),
    ...up.ticks.map((tick) =>
      [
        `<path class="grid" d="M${LEFT} ${fixed(up.at(tick))}H${WIDTH - RIGHT}"/>`,
        `<text class="small" text-anchor="end" x="${LEFT - 6}" y="${fixed(up.at(tick) + 4)}">${formatTick(tick)}</text>`,
      ].join(''),
    ),
    `<text class="small" text-anchor="middle" x="${middle}" y="${HEIGHT - 12}">${escaped(x.label)}</text>`,
    `<text class="small" x="8" y="${TOP - 8}">${escaped(y.label)}</text>`,
    ...lines.map(({ points: own }, index) => {
      const d = thinned(own).map(([a, b]) => `${fixed(across.at(a))} ${fixed(up.at(b))}`);
      return `<path class="line c${index % 3}" d="M${d.join('L')}"/>`;
    }),
    ...lines.map(
      ({ name }, index) =>
        `<text class="c${index % 3}" text-anchor="end" x="${WIDTH - RIGHT - 8}" y="${HEIGHT - BOTTOM - 12 - 18 * (lines.length - 1 - index)}">${escaped(name)}</text>`,
    ),
    '</svg>',
    '',
  ].join('\n');
}

interface Positions {
  readonly ticks: readonly number[];
  readonly at: (value: number) => number;
}

function positions(
  scale: Axis['scale'],
  values: readonly number[],
  [from, to]: readonly [number, number],
): Positions {
  const ticks = scale === 'log' ? decades(values) : rounded(values);
  const measure = scale === 'log' ? (value: number) => Math.log10(value) : (value: number) => value;
  const low = measure(ticks[0] ?? 0);
  const high = measure(ticks.at(-1) ?? 1);
  return {
    ticks,
    at: (value) => {
      const share = (measure(scale === 'log' ? Math.max(value, ticks[0] ?? 1) : value) - low) / (high - low);
      return from + share * (to - from);
    },
  };
}

/** Powers of ten around the values. */
function decades(values: readonly number[]): readonly number[] {
  const positive = values.filter((value) => value > 0);
  const low = Math.floor(Math.log10(Math.min(...positive)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...positive))));
  return Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index));
}

/** From nothing to beyond the largest value, in round steps. */
function rounded(values: readonly number[]): readonly number[] {
  const most = Math.max(...values, Number.MIN_VALUE);
  const rough = most / 5;
  const magnitude = 10 ** Math.floor(Math.log10(rough));
  const step = magnitude * ([1, 2, 5, 10].find((factor) => factor * magnitude >= rough) ?? 10);
  return Array.from({ length: Math.ceil(most / step) + 1 }, (_, index) => index * step);
}

/** Enough for the eye; the last one is always there. */
function thinned(points: Line['points']): Line['points'] {
  const every = Math.ceil(points.length / MOST_POINTS);
  return points.filter((_, index) => index % every === 0 || index === points.length - 1);
}

function formatTick(value: number): string {
  return Number(value.toPrecision(3)).toLocaleString('en', { maximumSignificantDigits: 3 });
}

function fixed(value: number): string {
  return String(Number(value.toFixed(1)));
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}
