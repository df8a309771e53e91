curl https://dash.packet.ai/api/v1/models \
-H "Authorization: Bearer pk_live_YOUR_API_KEY"
