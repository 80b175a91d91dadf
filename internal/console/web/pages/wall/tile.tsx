// One camera on the wall: its live picture while somebody can see it, or why there is none.
import { useSignal } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Player, type State } from '../../player/player';
import { fragmentsOf, serverNow } from '../../player/sessions';
import { SOUND_ONLY, stateText } from '../../player/words';
import { href } from '../../router';
import { localZone } from '../../timeline/zone';
import { Button } from '../../ui/button';

interface Props {
  name: string;
  heard: boolean;
  /** Parts take a connection each, and browsers have few of HTTP/1.1. */
  parts: boolean;
  onHear: (on: boolean) => void;
  onRemove: () => void;
}

const LEAVE = 2_000; // milliseconds that a tile must be out of sight before its session ends
const FRAGMENTS = 5;

export function Tile({ name, heard, parts, onHear, onRemove }: Props) {
  const tileRef = useRef<HTMLElement>(null);
  const videoRef = useRef<HTMLVideoElement>(null);
  const stillRef = useRef<HTMLCanvasElement>(null);
  const seen = useSignal(false);
  const [player, setPlayer] = useState<Player>();

  useEffect(() => {
    const clock = 'PRODUCER_TIMESTAMP';
    const made = new Player(videoRef.current!, stillRef.current!, name, clock, fragmentsOf(name, clock),
      { fragments: FRAGMENTS, full: false, parts });
    setPlayer(made);
    let inView = false;
    let timer = 0;
    const look = (): void => {
      const now = inView && !document.hidden;
      clearTimeout(timer);
      if (now && !seen.peek()) {
        seen.value = true;
        made.goLive();
      } else if (!now && seen.peek()) {
        timer = setTimeout(() => {
          seen.value = false;
          made.suspend();
        }, LEAVE) as unknown as number;
      }
    };
    const observer = new IntersectionObserver(([entry]) => {
      inView = entry!.isIntersecting;
      look();
    }, { rootMargin: '64px' });
    observer.observe(tileRef.current!);
    document.addEventListener('visibilitychange', look);
    return () => {
      observer.disconnect();
      document.removeEventListener('visibilitychange', look);
      clearTimeout(timer);
      made.destroy();
    };
  }, [name, parts, seen]);

  const hear = useRef(onHear);
  hear.current = onHear;
  useEffect(() => {
    const video = videoRef.current!;
    video.muted = !heard;
    // the browser may refuse sound without a gesture; then the button says so
    const changed = (): void => { if (heard && video.muted) hear.current(false); };
    video.addEventListener('volumechange', changed);
    return () => video.removeEventListener('volumechange', changed);
  }, [heard]);

  return (
    <article ref={tileRef} class={`tile ${heard ? 'heard' : ''}`} aria-label={name}>
      <video ref={videoRef} muted playsInline aria-hidden="true" tabIndex={-1} />
      <canvas ref={stillRef} class="still" hidden aria-hidden="true" />
      {player && <TileWords player={player} seen={seen.value} />}
      <header>
        <a class="clip" href={href(['streams', name])}>{name}</a>
        {player && <Latency player={player} />}
        <span class="grow" />
        <Button label={heard ? `Sound of ${name} off` : `Sound of ${name} on`} icon={heard ? 'sound' : 'silent'} iconOnly kind="quiet"
          aria-pressed={heard} onClick={() => onHear(!heard)} />
        <Button label={`Take ${name} off the wall`} icon="close" iconOnly kind="quiet" onClick={onRemove} />
      </header>
    </article>
  );
}

function Latency({ player }: { player: Player }) {
  const seconds = player.latency.value;
  if (seconds === undefined || player.state.value.kind !== 'playing') return null;
  return <span class="small figures latency" title="behind the camera">{seconds.toFixed(1)} s</span>;
}

/** Why there is no picture, or why it stands still. */
function TileWords({ player, seen }: { player: Player; seen: boolean }) {
  const state: State = player.state.value;
  const mute = player.soundOnly.value ? SOUND_ONLY : '';
  if (!seen || (state.kind === 'playing' && !mute)) return null;
  return (
    <div class="tile-words">
      {state.kind === 'loading' ? <span class="spinner" aria-label="Loading" role="img" /> : <p class="small">{stateText(state, localZone(), serverNow()) || mute}</p>}
      {(state.kind === 'closed' || state.kind === 'failed') && <Button label="Try again" onClick={() => player.again()} />}
    </div>
  );
}
