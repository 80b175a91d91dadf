// Numbers and times in words, in the viewer's zone.

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];

/** 12.3 GB. */
export function bytes(n: number): string {
  let i = 0;
  let value = n;
  while (value >= 999.5 && i < units.length - 1) {
    value /= 1000;
    i += 1;
  }
  return `${value >= 100 || i === 0 ? Math.round(value) : value.toPrecision(3)} ${units[i]}`;
}

/** 1.20 GB of 5.00 GB, where there is a limit. */
export function bytesOf(n: number, limit: number | null): string {
  return limit === null ? bytes(n) : `${bytes(n)} of ${bytes(limit)}`;
}

/** 2.41 Mbit/s. */
export function bitRate(n: number): string {
  return `${bytes(n).replace('B', 'bit')}/s`;
}

/** 30 days, 6 hours. */
export function hours(n: number): string {
  if (n === 0) return 'nothing kept';
  if (n % 24 === 0) return n === 24 ? '1 day' : `${n / 24} days`;
  return n === 1 ? '1 hour' : `${n} hours`;
}

/** A distance in time: 12 seconds, 3 hours, 2 days. */
export function span(millis: number): string {
  const s = Math.max(0, Math.round(millis / 1000));
  const [n, unit] = s < 90 ? [s, 'second']
    : s < 5400 ? [Math.round(s / 60), 'minute']
      : s < 129_600 ? [Math.round(s / 3600), 'hour']
        : [Math.round(s / 86_400), 'day'];
  return `${n} ${unit}${n === 1 ? '' : 's'}`;
}

/** How long ago a moment was, where there is little room: 12 s, 3 h. */
export function since(seconds: number): string {
  const [n, unit] = span(Date.now() - seconds * 1000).split(' ');
  return `${n} ${unit!.startsWith('mi') ? 'min' : unit![0]}`;
}

// as the timeline writes them, so that a time here is found there
const moments = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium' });
const days = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium' });
const times = new Intl.DateTimeFormat('en-GB', { timeStyle: 'medium' });

/** A moment of the wire, which is in seconds since the Unix epoch. */
export function moment(seconds: number): string {
  return moments.format(seconds * 1000);
}

/** The time of day of a moment. */
export function timeOfDay(seconds: number): string {
  return times.format(seconds * 1000);
}

/** The day of a moment. */
export function day(seconds: number): string {
  return days.format(seconds * 1000);
}
