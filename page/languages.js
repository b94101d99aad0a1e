// What the page says, in the languages that it speaks. English is the key; a language without a line shows English.
// What only whoever runs the stream needs stays English: it names options and headers.
'use strict';

const LANGUAGES = { en: 'English', de: 'Deutsch', es: 'Español', fr: 'Français', ja: '日本語', pt: 'Português', zh: '中文' };
const COLUMNS = ['de', 'es', 'fr', 'ja', 'pt', 'zh'];
const TABLE = {
  // States
  'Loading': ['Lädt', 'Cargando', 'Chargement', '読み込み中', 'Carregando', '加载中'],
  'Live': ['Live', 'En directo', 'En direct', 'ライブ', 'Ao vivo', '直播'],
  'Waiting': ['Wartet', 'Esperando', 'En attente', '待機中', 'Aguardando', '等待中'],
  'Interrupted': ['Unterbrochen', 'Interrumpido', 'Interrompu', '中断', 'Interrompido', '已中断'],
  'Offline': ['Offline', 'Sin conexión', 'Hors ligne', 'オフライン', 'Sem conexão', '离线'],
  'Stopped': ['Angehalten', 'Detenido', 'Arrêté', '停止', 'Parado', '已停止'],
  'Paused': ['Pause', 'En pausa', 'En pause', '一時停止', 'Em pausa', '已暂停'],
  'Paused, {0} behind': ['Pause, {0} zurück', 'En pausa, {0} de retraso', 'En pause, {0} de retard', '一時停止、{0} 遅れ', 'Em pausa, {0} de atraso', '已暂停，落后 {0}'],
  'Behind live': ['Hinter Live', 'Con retraso', 'En différé', 'ライブより遅れ', 'Com atraso', '落后于直播'],
  '{0} behind live': ['{0} hinter Live', '{0} de retraso', '{0} de retard', 'ライブから {0} 遅れ', '{0} de atraso', '落后直播 {0}'],
  'Recording': ['Aufzeichnung', 'Grabación', 'Enregistrement', '録画', 'Gravação', '录像'],
  'Ended': ['Zu Ende', 'Terminado', 'Terminé', '終了', 'Terminado', '已结束'],
  // Controls
  'Video player': ['Videoplayer', 'Reproductor de vídeo', 'Lecteur vidéo', '動画プレーヤー', 'Leitor de vídeo', '视频播放器'],
  'Position in the recording': ['Stelle in der Aufzeichnung', 'Posición en la grabación', 'Position dans l’enregistrement', '録画内の位置', 'Posição na gravação', '录像中的位置'],
  '{0} of {1}': ['{0} von {1}', '{0} de {1}', '{0} sur {1}', '{1} 中 {0}', '{0} de {1}', '{0}，共 {1}'],
  'Play': ['Abspielen', 'Reproducir', 'Lire', '再生', 'Reproduzir', '播放'],
  'Pause': ['Anhalten', 'Pausar', 'Mettre en pause', '一時停止', 'Pausar', '暂停'],
  'Play again': ['Noch einmal', 'Reproducir de nuevo', 'Revoir', 'もう一度再生', 'Reproduzir de novo', '重播'],
  '10 s back': ['10 s zurück', '10 s atrás', 'Reculer de 10 s', '10 秒戻る', 'Recuar 10 s', '后退 10 秒'],
  '10 s on': ['10 s vor', '10 s adelante', 'Avancer de 10 s', '10 秒進む', 'Avançar 10 s', '前进 10 秒'],
  'Turn the sound on': ['Ton einschalten', 'Activar el sonido', 'Activer le son', '音声をオンにする', 'Ativar o som', '打开声音'],
  'Turn the sound off': ['Ton ausschalten', 'Quitar el sonido', 'Couper le son', '音声をオフにする', 'Desativar o som', '关闭声音'],
  'This stream has no sound': ['Dieser Stream hat keinen Ton', 'Esta emisión no tiene sonido', 'Ce flux n’a pas de son', 'この配信に音声はありません', 'Esta transmissão não tem som', '此直播没有声音'],
  'Volume': ['Lautstärke', 'Volumen', 'Volume', '音量', 'Volume', '音量'],
  'Go live': ['Zu Live', 'Ir al directo', 'Aller au direct', 'ライブへ', 'Ir ao vivo', '回到直播'],
  'Whole recording': ['Ganze Aufzeichnung', 'Grabación completa', 'Tout l’enregistrement', '録画全体', 'Gravação completa', '完整录像'],
  'Full screen': ['Vollbild', 'Pantalla completa', 'Plein écran', '全画面', 'Tela cheia', '全屏'],
  'Leave full screen': ['Vollbild verlassen', 'Salir de pantalla completa', 'Quitter le plein écran', '全画面を終了', 'Sair da tela cheia', '退出全屏'],
  'Picture in picture': ['Bild im Bild', 'Imagen en imagen', 'Image dans l’image', 'ピクチャー イン ピクチャー', 'Imagem em imagem', '画中画'],
  'Play on another screen': ['Auf einem anderen Bildschirm abspielen', 'Reproducir en otra pantalla', 'Lire sur un autre écran', '別の画面で再生', 'Reproduzir em outra tela', '在其他屏幕上播放'],
  'AirPlay': ['AirPlay', 'AirPlay', 'AirPlay', 'AirPlay', 'AirPlay', '隔空播放'],
  'Captions': ['Untertitel', 'Subtítulos', 'Sous-titres', '字幕', 'Legendas', '字幕'],
  'Settings': ['Einstellungen', 'Ajustes', 'Réglages', '設定', 'Configurações', '设置'],
  'Quality': ['Qualität', 'Calidad', 'Qualité', '画質', 'Qualidade', '画质'],
  'Auto': ['Auto', 'Automática', 'Auto', '自動', 'Automática', '自动'],
  'Speed': ['Tempo', 'Velocidad', 'Vitesse', '速度', 'Velocidade', '速度'],
  'Normal': ['Normal', 'Normal', 'Normale', '標準', 'Normal', '正常'],
  'Off': ['Aus', 'Desactivados', 'Désactivés', 'オフ', 'Desativadas', '关闭'],
  'Sound track': ['Tonspur', 'Pista de audio', 'Piste audio', '音声トラック', 'Faixa de áudio', '音轨'],
  'Language': ['Sprache', 'Idioma', 'Langue', '言語', 'Idioma', '语言'],
  'Letter keys control the player': ['Buchstabentasten steuern den Player', 'Las letras controlan el reproductor', 'Les lettres commandent le lecteur', '文字キーで操作する', 'As letras controlam o leitor', '用字母键控制播放器'],
  'Keys': ['Tasten', 'Teclas', 'Touches', 'キー', 'Teclas', '按键'],
  'Close': ['Schließen', 'Cerrar', 'Fermer', '閉じる', 'Fechar', '关闭'],
  'play, pause': ['abspielen, anhalten', 'reproducir, pausar', 'lire, mettre en pause', '再生、一時停止', 'reproduzir, pausar', '播放、暂停'],
  '10 s back, on': ['10 s zurück, vor', '10 s atrás, adelante', 'reculer, avancer de 10 s', '10 秒戻る、進む', 'recuar, avançar 10 s', '后退、前进 10 秒'],
  'a minute back, on': ['eine Minute zurück, vor', 'un minuto atrás, adelante', 'reculer, avancer d’une minute', '1 分戻る、進む', 'recuar, avançar um minuto', '后退、前进一分钟'],
  'beginning': ['Anfang', 'principio', 'début', '最初', 'início', '开头'],
  'live': ['Live', 'directo', 'direct', 'ライブ', 'ao vivo', '直播'],
  'volume': ['Lautstärke', 'volumen', 'volume', '音量', 'volume', '音量'],
  'sound': ['Ton', 'sonido', 'son', '音声', 'som', '声音'],
  'captions': ['Untertitel', 'subtítulos', 'sous-titres', '字幕', 'legendas', '字幕'],
  'speed': ['Tempo', 'velocidad', 'vitesse', '速度', 'velocidade', '速度'],
  'mark beginning, end': ['Anfang, Ende merken', 'marcar principio, final', 'marquer début, fin', '開始、終了に印を付ける', 'marcar início, fim', '标记开始、结束'],
  'statistics': ['Statistik', 'estadísticas', 'statistiques', '統計', 'estatísticas', '统计'],
  'full screen': ['Vollbild', 'pantalla completa', 'plein écran', '全画面', 'tela cheia', '全屏'],
  // Sharing
  'Share': ['Teilen', 'Compartir', 'Partager', '共有', 'Partilhar', '分享'],
  'Begin at this moment': ['An dieser Stelle beginnen', 'Empezar en este momento', 'Commencer à ce moment', 'この時点から始める', 'Começar neste momento', '从这一刻开始'],
  'Mark the beginning': ['Anfang merken', 'Marcar el principio', 'Marquer le début', '開始に印を付ける', 'Marcar o início', '标记开始'],
  'Mark the end': ['Ende merken', 'Marcar el final', 'Marquer la fin', '終了に印を付ける', 'Marcar o fim', '标记结束'],
  'Begins at {0}': ['Beginnt bei {0}', 'Empieza en {0}', 'Commence à {0}', '開始 {0}', 'Começa em {0}', '从 {0} 开始'],
  'Ends at {0}': ['Endet bei {0}', 'Termina en {0}', 'Finit à {0}', '終了 {0}', 'Termina em {0}', '到 {0} 结束'],
  'Remove the marks': ['Marken entfernen', 'Quitar las marcas', 'Retirer les marques', '印を消す', 'Remover as marcas', '清除标记'],
  'Marked: {0}.': ['Gemerkt: {0}.', 'Marcado: {0}.', 'Marqué : {0}.', '印: {0}。', 'Marcado: {0}.', '已标记：{0}。'],
  'Marked: {0} to {1}.': ['Gemerkt: {0} bis {1}.', 'Marcado: de {0} a {1}.', 'Marqué : de {0} à {1}.', '印: {0} から {1}。', 'Marcado: de {0} a {1}.', '已标记：{0} 到 {1}。'],
  'Link': ['Link', 'Enlace', 'Lien', 'リンク', 'Ligação', '链接'],
  'To embed it': ['Einbetten', 'Para insertarlo', 'Pour l’intégrer', '埋め込み', 'Para incorporar', '嵌入'],
  'To save it': ['Speichern', 'Para guardarlo', 'Pour l’enregistrer', '保存', 'Para guardar', '保存'],
  'Copy': ['Kopieren', 'Copiar', 'Copier', 'コピー', 'Copiar', '复制'],
  'Copied': ['Kopiert', 'Copiado', 'Copié', 'コピーしました', 'Copiado', '已复制'],
  // Statistics
  'Statistics': ['Statistik', 'Estadísticas', 'Statistiques', '統計', 'Estatísticas', '统计'],
  'Delay': ['Verzögerung', 'Retardo', 'Retard', '遅延', 'Atraso', '延迟'],
  'Recorded': ['Aufgenommen', 'Grabado', 'Enregistré', '録画日時', 'Gravado', '录制于'],
  'over {0}': ['über {0}', 'más de {0}', 'plus de {0}', '{0} 以上', 'mais de {0}', '超过 {0}'],
  'Bitrate': ['Bitrate', 'Tasa de bits', 'Débit', 'ビットレート', 'Taxa de bits', '码率'],
  'Connection': ['Verbindung', 'Conexión', 'Connexion', '接続', 'Conexão', '连接'],
  'Picture': ['Bild', 'Imagen', 'Image', '映像', 'Imagem', '画面'],
  'Loaded': ['Geladen', 'Cargado', 'Chargé', '読み込み済み', 'Carregado', '已加载'],
  '{0} ahead': ['{0} voraus', '{0} por delante', '{0} d’avance', '{0} 先まで', '{0} adiante', '提前 {0}'],
  'New data': ['Neue Daten', 'Datos nuevos', 'Nouvelles données', '新しいデータ', 'Dados novos', '新数据'],
  'every {0}': ['alle {0}', 'cada {0}', 'toutes les {0}', '{0} ごと', 'a cada {0}', '每 {0}'],
  'complete': ['vollständig', 'completo', 'complet', '完了', 'completo', '完整'],
  'Dropped': ['Ausgelassen', 'Perdidos', 'Perdues', 'コマ落ち', 'Perdidos', '丢帧'],
  'What happened here': ['Was hier geschah', 'Lo que pasó aquí', 'Ce qui s’est passé', 'ここで起きたこと', 'O que aconteceu aqui', '这里发生了什么'],
  'Pauses: {0}': ['Stockungen: {0}', 'Pausas: {0}', 'Coupures : {0}', '停止: {0}', 'Pausas: {0}', '卡顿：{0}'],
  'New data: {0}': ['Neue Daten: {0}', 'Datos nuevos: {0}', 'Nouvelles données : {0}', '新しいデータ: {0}', 'Dados novos: {0}', '新数据：{0}'],
  'The last {0}': ['Die letzten {0}', 'Los últimos {0}', 'Les dernières {0}', '過去 {0}', 'Os últimos {0}', '最近 {0}'],
  // Messages
  'Try again now': ['Jetzt noch einmal versuchen', 'Intentar ahora', 'Réessayer maintenant', '今すぐ再試行', 'Tentar agora', '立即重试'],
  'For whoever runs this stream': ['Für den Betreiber', 'Para quien lo emite', 'Pour l’exploitant', '配信者の方へ', 'Para quem transmite', '致直播运营者'],
  'Trying again.': ['Es wird weiter versucht.', 'Se sigue intentando.', 'Nouvel essai en cours.', '再試行しています。', 'Tentando de novo.', '正在重试。'],
  'The stream has not begun': ['Der Stream hat noch nicht begonnen', 'La emisión no ha empezado', 'Le direct n’a pas commencé', '配信はまだ始まっていません', 'A transmissão não começou', '直播尚未开始'],
  'It starts here by itself as soon as there is something to show.': ['Er beginnt hier von selbst, sobald es etwas zu sehen gibt.', 'Empieza aquí sola en cuanto haya algo que ver.', 'Il démarre ici tout seul dès qu’il y a quelque chose à voir.', '見られるようになり次第、ここで自動的に始まります。', 'Começa aqui sozinha assim que houver algo para ver.', '一有内容就会在此自动开始。'],
  'Begins in {0}': ['Beginnt in {0}', 'Empieza en {0}', 'Commence dans {0}', '開始まで {0}', 'Começa em {0}', '{0} 后开始'],
  'Begins in {0} days': ['Beginnt in {0} Tagen', 'Empieza en {0} días', 'Commence dans {0} jours', '開始まで {0} 日', 'Começa em {0} dias', '{0} 天后开始'],
  'The stream is interrupted': ['Der Stream ist unterbrochen', 'La emisión se ha interrumpido', 'Le direct est interrompu', '配信が中断しています', 'A transmissão foi interrompida', '直播已中断'],
  'The stream is not public': ['Der Stream ist nicht öffentlich', 'La emisión no es pública', 'Le direct n’est pas public', '配信は公開されていません', 'A transmissão não é pública', '直播未公开'],
  'Whoever runs it has to open it. Trying again.': ['Der Betreiber muss ihn freigeben. Es wird weiter versucht.', 'Quien la emite tiene que abrirla. Se sigue intentando.', 'L’exploitant doit l’ouvrir. Nouvel essai en cours.', '配信者による公開が必要です。再試行しています。', 'Quem transmite tem de abri-la. Tentando de novo.', '需要运营者开放。正在重试。'],
  'The stream cannot be shown on this page': ['Der Stream kann auf dieser Seite nicht gezeigt werden', 'La emisión no se puede mostrar en esta página', 'Le direct ne peut pas être montré sur cette page', 'このページでは配信を表示できません', 'A transmissão não pode ser mostrada nesta página', '此页面无法显示该直播'],
  'Whoever runs it has to allow it. Trying again.': ['Der Betreiber muss es erlauben. Es wird weiter versucht.', 'Quien la emite tiene que permitirlo. Se sigue intentando.', 'L’exploitant doit l’autoriser. Nouvel essai en cours.', '配信者による許可が必要です。再試行しています。', 'Quem transmite tem de permitir. Tentando de novo.', '需要运营者允许。正在重试。'],
  'The video cannot be read yet': ['Das Video kann noch nicht gelesen werden', 'El vídeo aún no se puede leer', 'La vidéo ne peut pas encore être lue', '動画はまだ読み込めません', 'O vídeo ainda não pode ser lido', '视频暂时无法读取'],
  'The video is not there': ['Das Video ist nicht da', 'El vídeo no está', 'La vidéo n’est pas là', '動画がありません', 'O vídeo não está lá', '视频不存在'],
  'The newest data is not readable yet': ['Das Neueste ist noch nicht lesbar', 'Lo más nuevo aún no se puede leer', 'Le plus récent n’est pas encore lisible', '最新のデータはまだ読み込めません', 'O mais recente ainda não pode ser lido', '最新数据暂不可读'],
  'The newest data is not complete yet': ['Das Neueste ist noch nicht vollständig', 'Lo más nuevo aún no está completo', 'Le plus récent n’est pas encore complet', '最新のデータはまだ揃っていません', 'O mais recente ainda não está completo', '最新数据尚不完整'],
  'The stream cannot be played from this server': ['Von diesem Server kann der Stream nicht gespielt werden', 'La emisión no se puede reproducir desde este servidor', 'Le direct ne peut pas être lu depuis ce serveur', 'このサーバーからは再生できません', 'A transmissão não pode ser reproduzida deste servidor', '无法从此服务器播放'],
  'You are offline': ['Keine Verbindung', 'Sin conexión', 'Vous êtes hors ligne', 'オフラインです', 'Sem conexão', '您已离线'],
  'It goes on by itself when the connection is back.': ['Es geht von selbst weiter, wenn die Verbindung wieder da ist.', 'Sigue sola cuando vuelva la conexión.', 'La lecture reprend d’elle-même au retour de la connexion.', '接続が戻ると自動的に再開します。', 'Continua sozinha quando a conexão voltar.', '连接恢复后会自动继续。'],
  'The stream cannot be reached': ['Der Stream ist nicht erreichbar', 'No se puede acceder a la emisión', 'Le direct est injoignable', '配信に接続できません', 'Não é possível alcançar a transmissão', '无法连接到直播'],
  'The stream does not answer': ['Der Stream antwortet nicht', 'La emisión no responde', 'Le direct ne répond pas', '配信から応答がありません', 'A transmissão não responde', '直播没有响应'],
  'The browser blocks the stream': ['Der Browser blockiert den Stream', 'El navegador bloquea la emisión', 'Le navigateur bloque le direct', 'ブラウザーが配信をブロックしています', 'O navegador bloqueia a transmissão', '浏览器阻止了该直播'],
  'The stream has trouble': ['Der Stream ist gestört', 'La emisión tiene problemas', 'Le direct a un problème', '配信に問題が起きています', 'A transmissão tem problemas', '直播出现故障'],
  'The stream is refused': ['Der Stream wird verweigert', 'La emisión se ha rechazado', 'Le direct est refusé', '配信が拒否されました', 'A transmissão foi recusada', '直播被拒绝'],
  'This is not a stream': ['Das ist kein Stream', 'Esto no es una emisión', 'Ce n’est pas un flux', 'これは配信ではありません', 'Isto não é uma transmissão', '这不是直播'],
  'The stream cannot be understood': ['Der Stream ist unverständlich', 'La emisión no se entiende', 'Le flux est incompréhensible', '配信の内容を解釈できません', 'Não se entende a transmissão', '无法解析该直播'],
  'The stream cannot be played': ['Der Stream kann nicht gespielt werden', 'La emisión no se puede reproducir', 'Le flux ne peut pas être lu', '配信を再生できません', 'A transmissão não pode ser reproduzida', '无法播放该直播'],
  'This is not an address of a stream': ['Das ist keine Adresse eines Streams', 'Esta no es la dirección de una emisión', 'Ce n’est pas l’adresse d’un flux', 'これは配信のアドレスではありません', 'Isto não é o endereço de uma transmissão', '这不是直播地址'],
  'This page does not play from there': ['Von dort spielt diese Seite nicht', 'Esta página no reproduce desde ahí', 'Cette page ne lit pas depuis cette adresse', 'このページではそこから再生できません', 'Esta página não reproduz daí', '此页面不播放该来源'],
  'Open this page from a web server': ['Diese Seite von einem Webserver öffnen', 'Abra esta página desde un servidor web', 'Ouvrez cette page depuis un serveur web', 'このページはウェブサーバーから開いてください', 'Abra esta página de um servidor web', '请从网页服务器打开此页面'],
  'The player is not complete': ['Der Player ist unvollständig', 'El reproductor no está completo', 'Le lecteur est incomplet', 'プレーヤーの一部が見つかりません', 'O leitor não está completo', '播放器不完整'],
  'This browser cannot play the stream': ['Dieser Browser kann den Stream nicht spielen', 'Este navegador no puede reproducir la emisión', 'Ce navigateur ne peut pas lire le flux', 'このブラウザーでは再生できません', 'Este navegador não pode reproduzir a transmissão', '此浏览器无法播放该直播'],
  'Any current browser can.': ['Jeder aktuelle Browser kann es.', 'Cualquier navegador actual puede.', 'Tout navigateur actuel le peut.', '最新のブラウザーなら再生できます。', 'Qualquer navegador atual pode.', '任何新版浏览器都可以。'],
  'This browser cannot decode the video': ['Dieser Browser kann das Video nicht dekodieren', 'Este navegador no puede decodificar el vídeo', 'Ce navigateur ne peut pas décoder la vidéo', 'このブラウザーでは動画をデコードできません', 'Este navegador não pode decodificar o vídeo', '此浏览器无法解码该视频'],
  'The video cannot be decoded': ['Das Video kann nicht dekodiert werden', 'El vídeo no se puede decodificar', 'La vidéo ne peut pas être décodée', '動画をデコードできません', 'O vídeo não pode ser decodificado', '视频无法解码'],
  'The stream is live': ['Der Stream ist live', 'La emisión está en directo', 'Le flux est en direct', '配信中です', 'A transmissão está ao vivo', '正在直播'],
  'This browser’s own player cannot read an object that is still being written. It plays here when it has ended; other browsers play it now.': [
    'Der eigene Player dieses Browsers kann nicht lesen, was noch geschrieben wird. Danach spielt es hier; andere Browser spielen es jetzt.',
    'El reproductor de este navegador no puede leer lo que aún se está escribiendo. Se verá aquí cuando termine; otros navegadores lo muestran ya.',
    'Le lecteur de ce navigateur ne peut pas lire ce qui est encore en cours d’écriture. La lecture se fera ici à la fin ; d’autres navigateurs le lisent dès maintenant.',
    'このブラウザー内蔵のプレーヤーは書き込み中のデータを読めません。終了後にここで再生できます。ほかのブラウザーでは今すぐ再生できます。',
    'O leitor deste navegador não lê o que ainda está a ser escrito. Reproduz aqui quando terminar; outros navegadores reproduzem agora.',
    '此浏览器自带的播放器无法读取仍在写入的内容。结束后可在此播放；其他浏览器现在就能播放。'],
  'This browser’s own player cannot play the stream': ['Der eigene Player dieses Browsers kann den Stream nicht spielen', 'El reproductor de este navegador no puede con la emisión', 'Le lecteur de ce navigateur ne peut pas lire le flux', 'このブラウザー内蔵のプレーヤーでは再生できません', 'O leitor deste navegador não reproduz a transmissão', '此浏览器自带的播放器无法播放该直播'],
  'Waiting for the sender': ['Warten auf den Sender', 'Esperando al emisor', 'En attente de l’émetteur', '送信側を待っています', 'Aguardando quem transmite', '等待发送端'],
  'Nothing new has come for {0}. It goes on here by itself.': ['Seit {0} ist nichts Neues gekommen. Es geht hier von selbst weiter.', 'No llega nada nuevo desde hace {0}. Sigue aquí sola.', 'Rien de nouveau depuis {0}. La lecture reprendra d’elle-même.', '{0} の間、新しいデータが届いていません。届き次第再開します。', 'Nada de novo há {0}. Continua aqui sozinha.', '已有 {0} 没有新数据。恢复后会自动继续。'],
  'Nothing new for {0}.': ['Nichts Neues seit {0}.', 'Nada nuevo desde hace {0}.', 'Rien de nouveau depuis {0}.', '{0} の間、新しいデータがありません。', 'Nada de novo há {0}.', '已有 {0} 没有新数据。'],
  'Playing what is here ({0}).': ['Es läuft, was da ist ({0}).', 'Se reproduce lo que hay ({0}).', 'Lecture de ce qui est là ({0}).', '手元の分を再生中（{0}）。', 'Reproduzindo o que há ({0}).', '正在播放已有内容（{0}）。'],
  'Skipped {0} to be live again.': ['{0} übersprungen, um wieder live zu sein.', 'Se saltaron {0} para volver al directo.', '{0} passées pour revenir au direct.', 'ライブに戻るため {0} 飛ばしました。', '{0} saltados para voltar ao vivo.', '已跳过 {0} 以回到直播。'],
  'Your connection gives {0}, the stream needs {1}.': ['Die Verbindung gibt {0}, der Stream braucht {1}.', 'La conexión da {0}, la emisión necesita {1}.', 'La connexion donne {0}, le flux demande {1}.', '接続は {0}、この配信には {1} 必要です。', 'A conexão dá {0}, a transmissão precisa de {1}.', '您的连接为 {0}，直播需要 {1}。'],
  'Choose a lower quality.': ['Eine niedrigere Qualität wählen.', 'Elija una calidad menor.', 'Choisissez une qualité inférieure.', '低い画質を選んでください。', 'Escolha uma qualidade menor.', '请选择较低画质。'],
  'There is no recording of the whole.': ['Es gibt keine Aufzeichnung des Ganzen.', 'No hay grabación de todo.', 'Il n’y a pas d’enregistrement complet.', '全体の録画はありません。', 'Não há gravação de tudo.', '没有完整录像。'],
  'The browser does not allow it.': ['Der Browser erlaubt es nicht.', 'El navegador no lo permite.', 'Le navigateur ne le permet pas.', 'ブラウザーで許可されていません。', 'O navegador não permite.', '浏览器不允许。'],
};

/** The language that is asked for, chosen before, or the browser's own; as far as it is here. */
let language = 'en';
const known = (one) => Object.keys(LANGUAGES).find((code) => String(one ?? '').toLowerCase().split(/[-_]/)[0] === code);
/** A text in that language; {0}, {1}, … are filled in. */
function tr(text, ...values) {
  const found = TABLE[text]?.[COLUMNS.indexOf(language)] ?? text;
  return found.replace(/\{(\d)\}/g, (_, i) => values[i] ?? '');
}
const speakers = [];
const whenSpoken = (one) => speakers.push(one);
function speak(to) {
  language = known(to) ?? 'en';
  document.documentElement.lang = language;
  for (const one of document.querySelectorAll('[data-tr]')) {
    one.dataset.tr ||= one.textContent;
    one.textContent = tr(one.dataset.tr);
  }
  for (const one of document.querySelectorAll('[data-tr-label]')) one.setAttribute('aria-label', tr(one.dataset.trLabel));
  for (const one of speakers) one();
}
