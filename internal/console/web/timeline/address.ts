// What the address of a stream's page holds: the moment, the selection, the zoom, the clock. Nothing else is kept.

import type { Range } from './scale';
import { MAX_SELECTION } from './selection';

export type Clock = 'PRODUCER_TIMESTAMP' | 'SERVER_TIMESTAMP';

export interface Address {
  at?: number; // the moment that is shown; absent: live
  range?: Range;
  span?: number; // of the view, milliseconds
  clock: Clock;
}

const moment = (text: string | null): number | undefined => {
  if (!text) return undefined;
  const at = Date.parse(text);
  return Number.isFinite(at) && at >= 0 ? at : undefined;
};

const iso = (at: number): string => new Date(Math.round(at)).toISOString();

/** Reads an address. What cannot be read is left out. */
export function readAddress(query: URLSearchParams): Address {
  const address: Address = {
    clock: query.get('clock') === 'server' ? 'SERVER_TIMESTAMP' : 'PRODUCER_TIMESTAMP',
  };
  const at = moment(query.get('at'));
  if (at !== undefined) address.at = at;
  const [from, to] = [moment(query.get('from')), moment(query.get('to'))];
  if (from !== undefined && to !== undefined && from < to && to - from <= MAX_SELECTION) {
    address.range = { start: from, end: to };
  }
  const span = Number(query.get('span'));
  if (Number.isFinite(span) && span > 0) address.span = span * 1000;
  return address;
}

/** The query of an address, in an order that stays. */
export function writeAddress(address: Address): URLSearchParams {
  const query = new URLSearchParams();
  if (address.at !== undefined) query.set('at', iso(address.at));
  if (address.range) {
    query.set('from', iso(address.range.start));
    query.set('to', iso(address.range.end));
  }
  if (address.span) query.set('span', String(Number((address.span / 1000).toPrecision(4))));
  if (address.clock === 'SERVER_TIMESTAMP') query.set('clock', 'server');
  return query;
}

// A word of a shell: quoted where it must be.
const word = (text: string): string => (/^[A-Za-z0-9_@%+=:,./-]+$/.test(text) ? text : `'${text.replace(/'/g, "'\\''")}'`);

/** The line of the command line that exports a range as the page does. */
export function clipCommand(stream: string, range: Range, clock: Clock): string {
  const file = clipName(stream, range);
  const by = clock === 'SERVER_TIMESTAMP' ? '' : ' --clock producer';
  return `weir clip ${word(stream)} ${word(file)} --from ${iso(range.start)} --to ${iso(range.end)} --exact${by}`;
}

/** The name of the exported file: the stream's and when it begins. */
export const clipName = (stream: string, range: Range): string =>
  `${stream.replace(/[^A-Za-z0-9_.-]/g, '_')}-${iso(range.start).replace(/[:.]/g, '')}.mp4`;
