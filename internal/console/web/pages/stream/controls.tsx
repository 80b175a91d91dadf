// The buttons below the picture.
import { useComputed } from '@preact/signals';
import type { Player } from '../../player/player';
import { latencyText } from '../../player/words';
import { SPEEDS, speedName } from '../../timeline/speeds';
import { dayText, isDoubled, offsetName, timeText } from '../../timeline/zone';
import { Button } from '../../ui/button';
import type { StreamModel } from './model';

interface Props {
  model: StreamModel;
  player: Player;
  mayExport: boolean;
  onRange: () => void;
  onFull: () => void;
}

export function Controls({ model, player, mayExport, onRange, onFull }: Props) {
  const paused = player.paused.value;
  const muted = model.muted.value;
  return (
    <div class="controls" role="toolbar" aria-label="Playback">
      <div class="row tight">
        <Button label="Previous gap" icon="previousGap" iconOnly kind="quiet" onClick={() => { void model.gap(-1); }} />
        <Button label="One picture back" icon="previous" iconOnly kind="quiet" onClick={() => player.step(-1)} />
        <Button label={paused ? 'Play' : 'Pause'} icon={paused ? 'play' : 'pause'} iconOnly kind="primary" onClick={() => player.toggle()} />
        <Button label="One picture on" icon="next" iconOnly kind="quiet" onClick={() => player.step(1)} />
        <Button label="Next gap" icon="nextGap" iconOnly kind="quiet" onClick={() => { void model.gap(1); }} />
        <Speed player={player} />
      </div>
      <Clock player={player} zone={model.zone} />
      <div class="row tight">
        <Button label={mayExport ? 'Export…' : 'Range…'} icon={mayExport ? 'export' : 'range'} folds onClick={onRange} />
        <Live player={player} onLive={() => model.goLive()} />
        <Button label={muted ? 'Sound on' : 'Sound off'} icon={muted ? 'silent' : 'sound'} iconOnly kind="quiet" onClick={() => model.mute()} />
        <Button label="Full screen" icon="full" iconOnly kind="quiet" onClick={onFull} />
      </div>
    </div>
  );
}

function Speed({ player }: { player: Player }) {
  return (
    <label class="speed">
      <span class="visually-hidden">Speed</span>
      <select class="input" value={String(player.speed.value)}
        onChange={(e) => player.setSpeed(Number(e.currentTarget.value))}>
        {SPEEDS.map((s) => <option key={s} value={String(s)}>{speedName(s)}</option>)}
      </select>
    </label>
  );
}

/** The moment of the picture, with its day and zone. */
function Clock({ player, zone }: { player: Player; zone: string }) {
  // drawn anew when its text changes, and not with each picture
  const at = useComputed(() => {
    const position = player.position.value;
    return position === undefined || player.paused.value ? position : Math.floor(position / 1000) * 1000;
  }).value;
  if (at === undefined) return <p class="clock soft">–</p>;
  return (
    <p class="clock figures">
      <time dateTime={new Date(at).toISOString()}>
        <span class="soft">{dayText(at, zone, 'short')}</span>{' '}
        <strong>{timeText(at, zone, player.paused.value ? 3 : 0)}</strong>
      </time>{' '}
      {!isDoubled(at, zone) && <span class="soft small" title={zone}>{offsetName(at, zone)}</span>}
    </p>
  );
}

/** 3.4 s behind the camera. Where there is little room only the figure is seen; screen readers say all of it. */
function Latency({ words }: { words: string }) {
  const [figure, rest = ''] = words.split(/(?<= s)(.*)/s);
  return <span class="small figures latency">{figure}<span class="unless-narrow">{rest}</span></span>;
}

function Live({ player, onLive }: { player: Player; onLive: () => void }) {
  const latency = player.latency.value;
  const live = player.live.value;
  return (
    <button type="button" class={`button live ${live ? 'on' : ''}`} aria-pressed={live} onClick={onLive}>
      <span class="dot" />
      <span>Live</span>
      {live && latency !== undefined && <Latency words={latencyText(latency)} />}
    </button>
  );
}
