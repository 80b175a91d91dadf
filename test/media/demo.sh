#!/bin/sh
# Makes cmd/weir/demo.mkv, the clip of `weir demo`: run it in the repository's directory. Needs ffmpeg and the font DejaVu Sans Mono.
set -e
T=$(mktemp -d)
trap 'rm -rf "$T"' EXIT
FONT=${FONT:-/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf}
# Every motion's period divides 8 s, so that the last picture is followed by the first.
ffmpeg -v error -y -filter_complex "
 nullsrc=size=640x360:rate=25:duration=8,format=gbrp,geq=
 r='if(lt(Y,190),40+Y*0.9,20+(Y-190)*0.15+34*pow(max(0,sin(2*PI*(X/96-T/2+Y/70))*sin(2*PI*(Y/40-T/4+X/213))),2))':
 g='if(lt(Y,190),70+Y*0.45,70+(Y-190)*0.25+60*pow(max(0,sin(2*PI*(X/96-T/2+Y/70))*sin(2*PI*(Y/40-T/4+X/213))),2))':
 b='if(lt(Y,190),130-Y*0.25,110+(Y-190)*0.2+70*pow(max(0,sin(2*PI*(X/96-T/2+Y/70))*sin(2*PI*(Y/40-T/4+X/213))),2))'[bg];
 color=0xffd27f:size=56x56:rate=25:duration=8,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*clip(28-hypot(X-27.5,Y-27.5),0,1)'[sun];
 color=white:size=72x72:rate=25:duration=8,format=rgba,geq=r='if(lt(hypot(X-35.5,Y-35.5),31),24,240)':g='if(lt(hypot(X-35.5,Y-35.5),31),32,240)':b='if(lt(hypot(X-35.5,Y-35.5),31),44,240)':a='255*clip(35-hypot(X-35.5,Y-35.5),0,1)'[face];
 color=0xff5a3c:size=72x72:rate=25:duration=8,format=rgba,geq=r='r(X,Y)':g='g(X,Y)':b='b(X,Y)':a='255*lt(abs(X-35.5),2)*lt(Y,37)*gt(Y,8)',rotate=a='2*PI*t/8':c=none[hand];
 color=0xe8e8e8:size=46x18:rate=25:duration=8,drawbox=x=8:y=3:w=12:h=7:color=0x304050:t=fill,drawbox=x=26:y=3:w=12:h=7:color=0x304050:t=fill[boat];
 [bg]drawbox=x=0:y=188:w=640:h=6:color=0x2c3a2e:t=fill,drawbox=x=60:y=120:w=60:h=70:color=0x26303a:t=fill,drawbox=x=150:y=96:w=44:h=94:color=0x222b35:t=fill,drawbox=x=420:y=110:w=70:h=80:color=0x26303a:t=fill,drawbox=x=520:y=84:w=50:h=106:color=0x222b35:t=fill[land];
 [land][sun]overlay=x='292+250*cos(2*PI*t/8)':y='60+36*sin(2*PI*t/8)':format=auto[a];
 [a][boat]overlay=x='-46+686*mod(t/8+0.5\,1)':y='230+5*sin(2*PI*t/2)'[b];
 [b][face]overlay=x=548:y=270[c];[c][hand]overlay=x=548:y=270,
 drawtext=fontfile=$FONT:text='WEIR DEMO CAMERA':x=16:y=14:fontsize=20:fontcolor=white:box=1:boxcolor=black@0.55:boxborderw=6,
 drawtext=fontfile=$FONT:text='%{eif\:t\:d}.%{eif\:mod(n\,25)*4\:d\:2} s':x=16:y=324:fontsize=20:fontcolor=white:box=1:boxcolor=black@0.55:boxborderw=6,
 format=yuv420p[v]" -map '[v]' -c:v libx264 -profile:v high -preset veryslow -crf 26 -bf 0 -g 25 -keyint_min 25 -sc_threshold 0 -x264-params ref=2:open-gop=0 -bsf:v filter_units=remove_types=6 "$T"/video.h264
# A soft chord with a short beep at each full second, a higher one when the clip begins; period 8 s. 375 AAC frames of 1,024 samples
# at 48 kHz are exactly 8 s. They are frames 97 to 471 of the encoder's output, which holds the sound one frame late: the clip's
# first frame is the sound from 96 * 1,024 samples = 2.048 s on, and no frame knows of a beginning or an end.
ffmpeg -v error -y -f lavfi -i "aevalsrc='0.05*sin(2*PI*220*t)+0.04*sin(2*PI*277.5*t)+0.03*sin(2*PI*330*t)+0.25*lt(mod(t-2.048+8\,1)\,0.12)*sin(2*PI*if(lt(mod(t-2.048+8\,8)\,1)\,1320\,880)*t)':s=48000:d=12" -c:a aac -b:a 48k -ac 1 "$T"/long.aac
ffmpeg -v error -y -i "$T"/long.aac -ss 2.0693 -c copy -frames:a 375 "$T"/audio.aac
ffmpeg -v error -y -r 25 -i "$T"/video.h264 -i "$T"/audio.aac -map 0:v -map 1:a -c copy -bitexact -fflags +bitexact -cluster_time_limit 1000 cmd/weir/demo.mkv
