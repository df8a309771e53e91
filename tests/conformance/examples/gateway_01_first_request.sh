curl https://dash.packet.ai/api/v1/chat/completions \
-H "Content-Type: application/json" \
-H "Authorization: Bearer pk_live_YOUR_API_KEY" \
-d '{
    "model": "auto",
    "messages": [
        {"role": "user", "content": "Hello!"}
    ]
}'
