// The page of one stream: its picture, now or at any moment, above the timeline of all that was recorded.
import { useComputed, useSignal } from '@preact/signals';
import { useEffect, useMemo, useRef } from 'preact/hooks';
import { streamARN } from '../../api/clients';
import { isForbidden, words } from '../../api/errors';
import { may } from '../../api/permissions';
import { look, statuses } from '../../api/streams';
import type { Player } from '../../player/player';
import { serverNow } from '../../player/sessions';
import { fullText, momentText, SOUND_ONLY, stateText } from '../../player/words';
import { go, href, place } from '../../router';
import type { PageProps } from '../../page';
import { type Clock, readAddress, writeAddress } from '../../timeline/address';
import { nextSpeed } from '../../timeline/speeds';
import { Timeline } from '../../timeline/timeline';
import { Button } from '../../ui/button';
import { Icon } from '../../ui/icon';
import { Controls } from './controls';
import { GoTo } from './go-to';
import { Keys } from './keys';
import { StreamModel } from './model';
import { SelectionBar } from './selection-bar';

const HOUR = 3_600_000;
const SPANS: [name: string, milliseconds: number | undefined][] = [
  ['10 min', HOUR / 6], ['Hour', HOUR], ['Day', 24 * HOUR], ['Week', 168 * HOUR], ['Month', 31 * 24 * HOUR], ['All', undefined],
];

/** The page begins anew with another stream or another clock. */
export default function StreamPage({ params }: PageProps) {
  const name = params['name']!;
  const { clock } = readAddress(place.value.query);
  return <Stream key={`${clock} ${name}`} name={name} clock={clock} />;
}

function Stream({ name, clock }: { name: string; clock: Clock }) {
  const model = useMemo(() => new StreamModel(name, clock), [name, clock]);
  const stageRef = useRef<HTMLDivElement>(null);
  const videoRef = useRef<HTMLVideoElement>(null);
  const stillRef = useRef<HTMLCanvasElement>(null);
  const help = useSignal(false);
  const player = model.player.value;
  const mayExport = may('kinesisvideo:GetClip', streamARN(name));
  const maySet = may('kinesisvideo:DescribeStream', streamARN(name));

  useEffect(() => model.start(videoRef.current!, stillRef.current!), [model]);

  const full = (): void => {
    if (document.fullscreenElement) void document.exitFullscreen();
    else void stageRef.current!.requestFullscreen?.();
  };
  // The focus goes to the fields of a range that was chosen, and back to the timeline.
  const focus = (on: string): void => {
    requestAnimationFrame(() => stageRef.current?.parentElement!.querySelector<HTMLElement>(on)?.focus());
  };
  const range = (): void => {
    if (!model.selection.peek()) model.chooseRange();
    focus('.selection .input');
  };
  const leaveRange = (): void => {
    model.selection.value = undefined;
    focus('[role=slider]');
  };
  useShortcuts(model, { f: full, '?': () => { help.value = true; } });

  return (
    <div class="page wide stream">
      <div class="page-head">
        <h1 class="clip">{name}</h1>
        <a class="button folds" title="Wall" href={href(['wall'], { s: name })}><Icon name="wall" /><span>Wall</span></a>
        {maySet && <a class="button folds" title="Settings" href={href(['streams', name, 'settings'])}><Icon name="edit" /><span>Settings</span></a>}
        <Button label="Keyboard" icon="keyboard" folds kind="quiet" onClick={() => { help.value = true; }} />
      </div>
      <div ref={stageRef} class="stage">
        <video ref={videoRef} muted playsInline aria-label={`Picture of ${name}`} onClick={() => player?.toggle()} />
        <canvas ref={stillRef} class="still" hidden aria-hidden="true" />
        {player && <Words player={player} name={name} zone={model.zone} maySet={maySet} onLive={() => model.goLive()} onSeek={(at) => model.seek(at)} />}
      </div>
      {player && <Controls model={model} player={player} mayExport={mayExport} onRange={range} onFull={full} />}
      <Search model={model} />
      {player && <StreamTimeline model={model} player={player} />}
      <Unlisted model={model} />
      {player && (
        <SelectionBar stream={name} clock={clock} zone={model.zone} selection={model.selection} bounds={() => model.bounds}
          looping={player.range.value?.loop ?? false} mayExport={mayExport}
          onPlay={(range, loop) => player.playRange(range, loop)} onLeave={leaveRange} />
      )}
      <div class="row timeline-tools">
        <Button label="Closer" icon="plus" iconOnly onClick={() => model.zoom(1 / 2)} />
        <Button label="Farther" icon="minus" iconOnly onClick={() => model.zoom(2)} />
        {SPANS.map(([text, span]) => <Button key={text} label={text} kind="quiet" onClick={() => model.show(span)} />)}
        <span class="grow" />
        <GoTo zone={model.zone} position={() => model.moment} onGo={(at) => model.seek(at)} />
        <ClockChoice name={name} clock={clock} />
      </div>
      {help.value && <Keys onClose={() => { help.value = false; }} />}
    </div>
  );
}

function StreamTimeline({ model, player }: { model: StreamModel; player: Player }) {
  const moving = useComputed(() => !player.paused.value);
  return (
    <Timeline label={`Time of ${model.name}`} zone={model.zone} coverage={model.coverage} marks={model.marks} version={model.version}
      stills={model.stills} begin={model.begin} view={model.view} position={player.position} selection={model.selection}
      moving={moving} onSeek={(at, isMoving) => model.seek(at, isMoving)} onLive={() => model.goLive()} />
  );
}

/** How far a search for a gap is, and a way to stop it. */
function Search({ model }: { model: StreamModel }) {
  const now = model.search.value;
  if (!now) return null;
  return (
    <div class="note row">
      <p class="grow">Looking for a gap: at {momentText(now.at, model.zone, serverNow())}…</p>
      <Button label="Stop" onClick={() => model.stopSearch()} />
    </div>
  );
}

/** Says that the timeline is empty because the user may not list what was recorded. */
function Unlisted({ model }: { model: StreamModel }) {
  void model.version.value;
  const { failure } = model.coverage;
  return isForbidden(failure) ? <p class="small soft" role="status">What was recorded cannot be shown. {words(failure)}</p> : null;
}

interface WordsProps {
  player: Player;
  name: string;
  zone: string;
  maySet: boolean;
  onLive: () => void;
  onSeek: (at: number) => void;
}

const BEFORE_SILENCE = 10_000; // milliseconds that are shown of what a silent camera sent last

/** What there is to say of the picture, over it, and what to do about it. */
function Words({ player, name, zone, maySet, onLive, onSeek }: WordsProps) {
  const state = player.state.value;
  const since = state.kind === 'silent' ? state.since : undefined;
  useEffect(() => {
    if (state.kind === 'silent') void look([name]);
  }, [state.kind, name]);
  const full = state.kind === 'silent' && statuses.value.get(name)?.StorageState === 'FULL';
  const again = state.kind === 'closed' || state.kind === 'failed';
  const text = [
    full && since !== undefined ? fullText(since, zone, serverNow()) : stateText(state, zone, serverNow()),
    player.missed.value ? 'Nothing was recorded at that moment: this came next.' : '',
    player.soundOnly.value ? SOUND_ONLY : '',
  ].filter(Boolean).join(' ');
  return (
    <div class={`stage-words ${player.soundOnly.value ? 'sound' : state.kind}`}>
      <p role="status" class={text ? '' : 'visually-hidden'}>
        {state.kind === 'loading' && <span class="spinner" />}
        <span>{text || (player.live.value ? 'Live' : 'Playing')}</span>
      </p>
      {again && <Button label="Play again" onClick={() => player.again()} />}
      {since !== undefined && <Button label="Show the last pictures" onClick={() => onSeek(since - BEFORE_SILENCE)} />}
      {state.kind === 'nothing' && maySet && <a class="button" href={href(['streams', name, 'settings'])}>Connect a camera</a>}
      {state.kind === 'end' && <Button label="Go live" onClick={onLive} />}
    </div>
  );
}

/** Whose clock the times are of. */
function ClockChoice({ name, clock }: { name: string; clock: Clock }) {
  return (
    <label class="clock-choice">
      <span class="visually-hidden">Times by</span>
      <select class="input" value={clock} onChange={(e) => {
        go(href(['streams', name], writeAddress({ clock: e.currentTarget.value as Clock })), true);
      }}>
        <option value="PRODUCER_TIMESTAMP">camera’s clock</option>
        <option value="SERVER_TIMESTAMP">server’s clock</option>
      </select>
    </label>
  );
}

/** Keys of the page, wherever the focus is but in a field. */
function useShortcuts(model: StreamModel, others: Record<string, () => void>): void {
  const latest = useRef(others);
  latest.current = others;
  useEffect(() => {
    const acts = (player: Player): Record<string, () => void> => ({
      ...latest.current,
      ' ': () => player.toggle(),
      k: () => player.toggle(),
      ',': () => player.step(-1),
      '.': () => player.step(1),
      '<': () => player.setSpeed(nextSpeed(player.speed.peek(), -1)),
      '>': () => player.setSpeed(nextSpeed(player.speed.peek(), 1)),
      '[': () => { void model.gap(-1); },
      ']': () => { void model.gap(1); },
      l: () => model.goLive(),
      m: () => model.mute(),
      i: () => model.setRange('start'),
      o: () => model.setRange('end'),
    });
    const press = (e: KeyboardEvent): void => {
      const player = model.player.peek();
      const on = e.target as HTMLElement;
      if (!player || e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || on.closest('input, select, textarea, dialog')) return;
      if (e.key === ' ' && on.closest('button, a')) return;
      const act = acts(player)[e.key];
      if (!act) return;
      e.preventDefault();
      act();
    };
    addEventListener('keydown', press);
    return () => removeEventListener('keydown', press);
  }, [model]);
}
