import type { ComponentChildren } from 'preact';

/** A word or two about something; the colour only repeats what the words say. */
export function Pill({ kind = '', children }: { kind?: '' | 'good' | 'warn' | 'bad'; children: ComponentChildren }) {
  return <span class={`pill ${kind}`}>{kind && <span class="dot" />}<span class="clip">{children}</span></span>;
}
