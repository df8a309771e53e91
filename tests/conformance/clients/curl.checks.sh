#!/usr/bin/env bash
# curl: an answer, a stream, a big body (for which curl asks `Expect: 100-continue`), a body without a
# length, HTTP/1.0, a HEAD, and a refusal, each with its status.
set -euo pipefail
json=(-H "Authorization: Bearer $OPENAI_API_KEY" -H 'Content-Type: application/json')
chat=$OPENAI_BASE_URL/chat/completions
ask() { printf '{"model": "%s", "messages": [{"role": "user", "content": "%s"}], "max_tokens": 20%s}' "$CLIENT_MODEL" "$1" "${2:-}"; }
status() { curl -s -o /dev/null -w '%{http_code}' "$@"; }
same() { [ "$1" = "$2" ] || { echo "expected $2, got $1: $3"; exit 1; }; }

curl -fsS "$chat" "${json[@]}" -d "$(ask 'What is the capital of France?')" | grep -q Paris
curl -fsSN "$chat" "${json[@]}" -d "$(ask 'Say hello.' ', "stream": true')" | tail -n 2 | grep -qx 'data: \[DONE\]'
big=$(ask "$(head -c 1500000 /dev/zero | tr '\0' 'a')")
same "$(printf '%s' "$big" | status "$chat" "${json[@]}" --data-binary @-)" 400 'a prompt over the context'
same "$(ask 'Say hello.' | status "$chat" "${json[@]}" -H 'Transfer-Encoding: chunked' -d @-)" 200 'no length'
same "$(status "$chat" "${json[@]}" --http1.0 -d "$(ask 'Say hello.')")" 200 'HTTP/1.0'
same "$(status --head "$OPENAI_BASE_URL/models" "${json[@]}")" 200 'a HEAD'
same "$(status --compressed "$OPENAI_BASE_URL/models" "${json[@]}")" 200 'compression is offered'
same "$(status "$OPENAI_BASE_URL/models?api_key=$OPENAI_API_KEY")" 200 'the key in the address'
same "$(status "$chat" "${json[@]}" -d '{')" 400 'no JSON'
same "$(status "$chat" -d '{}')" 401 'no key'
echo ok
