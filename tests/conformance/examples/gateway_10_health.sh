curl http://YOUR-IP:PORT/health
