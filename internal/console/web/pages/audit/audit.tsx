import { useState } from 'preact/hooks';
import { weir } from '../../api/clients';
import { useQuery } from '../../api/query';
import { account } from '../../api/server';
import { clockOffset } from '../../api/transport';
import { keep, place } from '../../router';
import { Button } from '../../ui/button';
import { Field } from '../../ui/field';
import { moment } from '../../ui/format';
import { Pill } from '../../ui/pill';
import { Empty, Failed, Loading } from '../../ui/states';
import { Table } from '../../ui/table';
import { newest } from './newest';

interface AuditEvent {
  Time: number;
  Event: string;
  Action: string;
  Decision: string;
  Outcome: string;
  Reason?: string;
  Principal?: string;
  AccessKeyId?: string;
  RemoteAddress?: string;
  StreamName?: string;
  ResourceARN?: string;
  RequestId?: string;
}

const spans = [['1', 'the last hour'], ['24', 'the last day'], ['168', 'the last week'], ['720', 'the last 30 days']] as const;
const pageSize = 1000;
const pagesAtOnce = 5;
const wanted = 2000; // events
const root = `arn:aws:iam::${account}:root`;

/** The newest events of the last hours. */
function recent(hours: number, filter: object, abort: AbortSignal): Promise<{ events: AuditEvent[]; more: boolean }> {
  const now = (Date.now() + clockOffset.peek()) / 1000 + 1;
  return newest(async (StartTime, EndTime) => {
    const events: AuditEvent[] = [];
    let NextToken: string | null | undefined;
    do {
      const page = await weir<{ AuditEvents: AuditEvent[]; NextToken?: string | null }>('ListAuditEvents',
        { StartTime, EndTime, MaxResults: pageSize, ...filter, ...(NextToken && { NextToken }) }, abort);
      events.push(...page.AuditEvents);
      NextToken = page.NextToken;
    } while (NextToken && events.length < pagesAtOnce * pageSize);
    return { events, more: Boolean(NextToken) };
  }, now - hours * 3600, now, wanted);
}

/** Who did what. */
export default function Audit() {
  const { query } = place.value;
  const hours = query.get('hours') ?? '24';
  const who = query.get('who') ?? '';
  const denied = query.get('denied') !== null;
  const [shown, setShown] = useState(100);
  const filter = { ...(who && { Principal: who === 'root' ? root : who }), ...(denied && { Decision: 'denied' }) };
  const { data, error, reload } = useQuery(`audit ${hours} ${JSON.stringify(filter)}`, (abort) => recent(Number(hours), filter, abort));
  return (
    <div class="page">
      <div class="page-head"><h1>Audit</h1></div>
      <search class="row audit-filters">
        <div class="field">
          <label htmlFor="audit-hours">Time</label>
          <select id="audit-hours" class="input" value={hours} onChange={(e) => keep({ hours: e.currentTarget.value })}>
            {spans.map(([n, name]) => <option key={n} value={n}>{name}</option>)}
          </select>
        </div>
        <Field label="Who" value={who} placeholder="A name, ARN or key" onInput={(e) => keep({ who: e.currentTarget.value })} />
        <label class="check">
          <input type="checkbox" checked={denied} onChange={(e) => keep({ denied: e.currentTarget.checked ? 'yes' : null })} />
          <span>Refused only</span>
        </label>
      </search>
      {error !== null && <Failed error={error} retry={reload} />}
      {!data && error === null && <Loading what="Reading the log" />}
      {data?.more && <p class="note">These are the newest {data.events.length}. Older ones of that time: ask for a name, or run <code>weir audit</code>.</p>}
      {data?.events.length === 0 && (
        <Empty icon="audit" title="Nothing happened"><p>Nothing in the log fits what you ask for.</p></Empty>
      )}
      {data && data.events.length > 0 && (
        <Table label="Events" rows={data.events.slice(0, shown)} keyOf={(e) => `${e.RequestId} ${e.Event} ${e.Time}`}
          columns={[
            { title: 'When', render: (e) => <time class="figures" dateTime={new Date(e.Time * 1000).toISOString()}>{moment(e.Time)}</time> },
            { title: 'Who', render: (e) => <span title={e.Principal}>{e.Principal?.split(/[/:]/).pop() || e.AccessKeyId || 'a stranger'}</span> },
            { title: 'What', render: (e) => `${e.Action.split(':').pop()}${{ begin: ' begins', end: ' ends' }[e.Event] ?? ''}` },
            { title: 'On', render: (e) => onOf(e) && <span class="wrap" title={e.ResourceARN}>{onOf(e)}</span> },
            { title: 'From', render: (e) => e.RemoteAddress && <span class="figures" title={e.RemoteAddress}>{e.RemoteAddress.replace(/:\d+$/, '')}</span> },
            { title: 'Outcome', render: (e) => <Outcome event={e} /> },
          ]} />
      )}
      {data && data.events.length > shown && <div><Button label="Show more" onClick={() => setShown((n) => n + 200)} /></div>}
    </div>
  );
}

// What an event was on, by name; '' if on nothing in particular.
const onOf = (e: AuditEvent): string => e.StreamName || nameOf(e.ResourceARN === '*' ? '' : e.ResourceARN);
// The name in an ARN: what it is of, and when a stream was made, goes without saying.
const nameOf = (arn = ''): string => (arn.split(':').pop() ?? '').replace(/^stream\/([^/]+)\/\d+$/, '$1');

function Outcome({ event }: { event: AuditEvent }) {
  if (event.Decision === 'denied') return <span title={event.Reason}><Pill kind="bad">Refused</Pill></span>;
  if (event.Outcome.toLowerCase() === 'ok') return <Pill kind="good">Done</Pill>;
  return <span title={event.Outcome}><Pill kind="warn">{event.Outcome.replace(/Exception$/, '')}</Pill></span>;
}
