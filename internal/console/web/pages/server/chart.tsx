import { useId } from 'preact/hooks';

interface Props {
  title: string;
  /** What the newest value is, in words. */
  now: string;
  values: number[];
  /** Words of the greatest value. */
  most: (value: number) => string;
}

const width = 240;
const height = 56;

/** A small line of the last hour, with its words: now, and the greatest. */
export function Chart({ title, now, values, most }: Props) {
  const id = useId();
  const top = Math.max(...values, 0);
  const x = (i: number) => (values.length < 2 ? width : (i / (values.length - 1)) * width);
  const y = (v: number) => height - 2 - (top === 0 ? 0 : (v / top) * (height - 6));
  const line = values.map((v, i) => `${i === 0 ? 'M' : 'L'}${x(i).toFixed(1)} ${y(v).toFixed(1)}`).join('');
  return (
    <figure class="card chart" aria-labelledby={id}>
      <figcaption id={id} class="soft small">{title}</figcaption>
      <p class="chart-now figures">{now}</p>
      {values.length > 1 ? (
        <svg viewBox={`0 0 ${width} ${height}`} preserveAspectRatio="none" aria-hidden="true">
          <path class="chart-area" d={`${line}L${width} ${height}L0 ${height}Z`} />
          <path class="chart-line" d={line} />
        </svg>
      ) : <p class="soft small">The line begins in a minute or two.</p>}
      <p class="soft small figures">Highest of the last hour: {most(top)}</p>
    </figure>
  );
}
