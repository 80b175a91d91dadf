// What to worry about, from all that the caller may know.
import { listCameras } from '../../api/cameras';
import { useQuery } from '../../api/query';
import { listStreams, look, statuses } from '../../api/streams';
import { clockOffset } from '../../api/transport';
import { href } from '../../router';
import { span } from '../../ui/format';
import type { ServerStatus } from './status';

export interface Warning {
  kind: 'warn' | 'bad';
  text: string;
  /** The page that has more of it. */
  to?: string;
}

const month = 30 * 86_400; // seconds
const slow = 600; // seconds between lists; each one is an event in the audit log
const quick = 15; // seconds between looks at their streams, which are none
const looked = 1000; // streams at most whose cameras are looked after
const named = 5; // as many are called by name

/** What the parts of the server that the caller may ask about have to complain of. */
export function useWarnings(server: ServerStatus | undefined): Warning[] {
  const cameras = useQuery('camera certificates', listCameras, slow);
  const names = useQuery('streams', async (abort) => (await listStreams(abort)).slice(0, looked).map((s) => s.StreamName!), slow).data;
  useQuery(names ? 'states' : 'no states yet', (abort) => look(names ?? [], abort), quick);
  if (!server) return [];
  const now = server.CurrentTime;
  return [
    ...ofDisk(server),
    ...ofFull([...statuses.value.values()].filter((s) => s?.StorageState === 'FULL').map((s) => s!.StreamName)),
    ...ofSilence([...statuses.value.values()].filter((s) => s?.State === 'SILENT' && s.StorageState !== 'FULL').map((s) => s!.StreamName)),
    ...ofCertificate('The server’s certificate', server.CertificateEndTime, now),
    ...(cameras.data ?? []).flatMap((c) => ofCertificate(`The certificate of ${c.ThingName}`, c.Certificates?.[0]?.NotAfter ?? null, now)),
    ...ofClock(clockOffset.value),
  ];
}

function ofDisk({ Disk: disk, CurrentTime: now }: ServerStatus): Warning[] {
  if (disk?.State === 'FULL') return [{ kind: 'bad', text: 'The disk is full: what cameras send is refused until there is space.' }];
  if (disk?.FullTime) return [{ kind: disk.FullTime - now < 86_400 ? 'bad' : 'warn', text: `The disk fills in ${span((disk.FullTime - now) * 1000)} if it goes on like this.` }];
  return [];
}

// The first of many names.
function someOf(names: string[]): string {
  return `${names.slice(0, named).join(', ')}${names.length > named ? ` and ${names.length - named} more` : ''}`;
}

function ofFull(names: string[]): Warning[] {
  if (names.length === 0) return [];
  const what = names.length === 1 ? 'A stream has' : `${names.length} streams have`;
  return [{ kind: 'bad', text: `${what} stored as much as they may, and refuse what cameras send: ${someOf(names)}.`, to: href(['streams'], { state: 'FULL' }) }];
}

function ofSilence(names: string[]): Warning[] {
  if (names.length === 0) return [];
  return [{ kind: 'warn', text: `${names.length === 1 ? 'A camera is' : `${names.length} cameras are`} silent: ${someOf(names)}.`, to: href(['streams'], { state: 'SILENT' }) }];
}

function ofCertificate(what: string, end: number | null, now: number): Warning[] {
  if (end === null || end - now > month) return [];
  if (end < now) return [{ kind: 'bad', text: `${what} has ended.` }];
  return [{ kind: 'warn', text: `${what} ends in ${span((end - now) * 1000)}.` }];
}

function ofClock(millis: number): Warning[] {
  const off = Math.abs(Math.round(millis / 1000));
  return off > 10 ? [{ kind: 'warn', text: `The clocks of this computer and of the server are ${span(off * 1000)} apart.` }] : [];
}
