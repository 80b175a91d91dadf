import { weir } from '../../api/clients';
import { useQuery } from '../../api/query';
import { bitRate, bytes, moment, span } from '../../ui/format';
import { Failed, Loading } from '../../ui/states';
import { Chart } from './chart';
import type { ServerStatus } from './status';
import { useWarnings } from './warnings';

const again = 15; // seconds
const perSecond = (n: number) => n / 60; // samples are of a minute
const millis = (micros: number) => (micros === 0 ? 'none' : `${(micros / 1000).toPrecision(3)} ms`);

/** How the server is: its disk, what comes and goes, and what to worry about. */
export default function Server() {
  const { data, error, reload } = useQuery('server', (abort) => weir<ServerStatus>('GetServerStatus', {}, abort), again);
  const warnings = useWarnings(data);
  const last = data?.Samples.at(-1);
  return (
    <div class="page">
      <div class="page-head"><h1>Server</h1></div>
      {error !== null && <Failed error={error} retry={reload} />}
      {!data && error === null && <Loading what="Asking the server" />}
      {data && (
        <>
          {warnings.length > 0
            ? <ul class="stack tight" aria-label="Warnings">{warnings.map((w) => <li key={w.text} class={`note ${w.kind}`}>{w.text}{w.to && <>{' '}<a href={w.to}>Show</a></>}</li>)}</ul>
            : <p class="note good">All is well.</p>}
          {data.Disk && <Disk disk={data.Disk} now={data.CurrentTime} />}
          <div class="charts">
            <Chart title="Coming in" values={data.Samples.map((s) => s.IngestBytes)} now={last ? bitRate(perSecond(last.IngestBytes * 8)) : '–'}
              most={(v) => bitRate(perSecond(v * 8))} />
            <Chart title="Going out" values={data.Samples.map((s) => s.SentBytes)} now={last ? bitRate(perSecond(last.SentBytes * 8)) : '–'}
              most={(v) => bitRate(perSecond(v * 8))} />
            <Chart title="Cameras sending" values={data.Samples.map((s) => s.Producers)} now={last ? String(last.Producers) : '–'} most={String} />
            <Chart title="To make a fragment durable" values={data.Samples.map((s) => s.StoreMicros)} now={last ? millis(last.StoreMicros) : '–'} most={millis} />
            <Chart title="From a frame’s arrival to its viewers" values={data.Samples.map((s) => s.LatencyMicros)}
              now={last ? millis(last.LatencyMicros) : '–'} most={millis} />
          </div>
          <p class="soft small">
            Weir {data.Version}, running for {span((data.CurrentTime - data.StartTime) * 1000)}, since {moment(data.StartTime)}
          </p>
        </>
      )}
    </div>
  );
}

function Disk({ disk, now }: { disk: NonNullable<ServerStatus['Disk']>; now: number }) {
  const used = disk.TotalBytes - disk.FreeBytes;
  return (
    <section class="card stack tight">
      <h2>Disk</h2>
      <meter class="meter" aria-label="Space that is used" min={0} max={disk.TotalBytes} high={disk.TotalBytes * 0.9} value={used} />
      <p class="figures">
        {bytes(disk.FreeBytes)} free of {bytes(disk.TotalBytes)}
        {disk.FullTime !== null && `; full in ${span((disk.FullTime - now) * 1000)} if it goes on like this`}
      </p>
    </section>
  );
}
